"""What stands in for nbgrader's own steps of ``nbgrader autograde``: see
:func:`autograder.nbgrader_settings.use_sandbox`.

nbgrader reads a submission, sanitizes it, runs it in a kernel and saves what the outputs say. Here the engine
reads and runs it, and hands nbgrader the finished notebook, whose outputs say the scores; saving them, late
penalties and whatever steps a course has added stay nbgrader's. No file of a student is opened by nbgrader.

Notebooks in other languages than Python go through nbgrader's own steps, with a notice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters.autograde import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute, NbGraderPreprocessor

from autograder import config as settings_of
from autograder.credit import unusable_credits
from autograder.errors import AutograderError
from autograder.gradebook_files import autograded_notebook, message_notebook, with_released
from autograder.gradebook_rows import is_sound
from autograder.keys import Conditions
from autograder.layout import Course
from autograder.models import NotebookResult, Outcome
from autograder.nbgrader_engine import engine
from autograder.released import load_notebooks
from autograder.timeouts import limits_of

__all__ = ["SandboxExecute", "SandboxExporter", "Sanitize", "SaveUnreadable"]

Resources = dict[str, Any]
_PYTHON = ("python", "python3", "ipython", "")


class SandboxExporter(NotebookExporter):
    """Reads nothing of a Python submission: the engine does that, and survives what it finds."""

    def from_filename(
        self, filename: str, resources: Resources | None = None, **kw: Any
    ) -> tuple[Any, Resources]:
        """The converted notebook as text, as nbconvert's own method."""
        resources = {} if resources is None else resources
        if "nbgrader" not in resources or _language(resources) not in _PYTHON:
            return super().from_filename(filename, resources, **kw)
        path = Path(filename)
        resources["metadata"] = {"name": path.stem, "path": str(path.parent)}
        empty = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]  # nbformat: untyped
        converted: tuple[str, Resources] = self.from_notebook_node(empty, resources, **kw)  # type: ignore[no-untyped-call]
        return converted


class Sanitize(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no types
    """nbgrader's own steps before the execution, for notebooks that are not in Python."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """``nb`` sanitized."""
        if _language(resources) in _PYTHON:
            return nb, resources
        for step in Autograde.sanitize_preprocessors.default():
            nb, resources = step(parent=self.parent).preprocess(nb, resources)
            for cell in nb.cells:  # a duplicate: its empty metadata would end the whole batch
                if cell.metadata.get("nbgrader") == {}:
                    del cell.metadata["nbgrader"]
        return nb, resources


class SandboxExecute(Execute):  # type: ignore[misc]  # nbgrader has no types
    """Puts the engine's result in the place of what a kernel would have made of the notebook."""

    def preprocess(
        self, nb: NotebookNode, resources: Resources, km: Any = None
    ) -> tuple[NotebookNode, Resources]:
        """The graded notebook.

        :raises NbGraderException: the engine failed; scores from before stay as they are.
        """
        names = resources["nbgrader"]
        language = _language(resources)
        if language not in _PYTHON:
            self.log.warning(
                "%s is a notebook in %s: run by nbgrader itself, without a sandbox",
                names["notebook"],
                language,
            )
            done: tuple[NotebookNode, Resources] = super().preprocess(nb, resources, km)
            return done
        student, assignment, name = names["student"], names["assignment"], names["notebook"]
        try:
            course, conditions = self._course(assignment, names["db_url"])
            folder = Path(self._coursedir().format_path(self._submitted(), student, assignment))
            result = engine.notebook(course, conditions, student, assignment, name, folder)
            if not is_sound(result):
                raise AutograderError(result.message or _engine_errors(result))
            released = _released(names)
            _require_same_points(result, released, assignment)
            nb = nbformat.from_dict(_notebook(course, result, released))  # type: ignore[no-untyped-call]
        except AutograderError as error:
            self.log.error("%s/%s was not graded, its scores stay as they were: %s", student, name, error)
            raise NbGraderException(f"{student}/{assignment}/{name} was not graded: {error}") from error
        self._say(student, result)
        names["unreadable"] = result.notebook is None
        return nb, resources

    def _say(self, student: str, result: NotebookResult) -> None:
        where = f"{student}/{result.name}"
        if result.message:
            self.log.warning("%s: %s", where, result.message)
        for notice in result.notices:
            self.log.warning("%s: %s", where, notice)
        for task, message in unusable_credits(result):
            self.log.error("%s, test cell %s: %s", where, task, message)
        self.log.info("%s: %s, %s of %g points", where, result.outcome, result.score, result.max_score)

    def _coursedir(self) -> Any:
        converter = getattr(self.parent, "parent", None)
        return getattr(converter, "coursedir", None) or CourseDirectory(config=self.config)

    def _submitted(self) -> str:
        return str(self._coursedir().submitted_directory)

    def _course(self, assignment: str, db_url: str) -> tuple[Course, Conditions]:
        """The course as nbgrader has it, and how it grades."""
        place = self._coursedir()
        settings = settings_of.at(Path(place.root))
        source = Path(place.format_path(place.source_directory, ".", assignment))
        stored = db_url.startswith("sqlite:///")  # another database cannot be asked for AUTOTEST cells
        gradebook = Path(place.root, db_url.removeprefix("sqlite:///")) if stored else None
        course = Course(settings.root, settings.suites, gradebook, ((assignment, source),))
        limits = limits_of(settings, self.config)
        return course, Conditions(limits, settings.secret(), data=settings.data)


class SaveUnreadable(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no types
    """After nbgrader has saved: a notebook that cannot be read waits for nobody; its student did answer."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """``nb`` itself; 0 points and no comment in the gradebook."""
        names = resources["nbgrader"]
        if names.get("unreadable"):
            with Gradebook(names["db_url"]) as gradebook:
                notebook = gradebook.find_submission_notebook(
                    names["notebook"], names["assignment"], names["student"]
                )
                for grade in notebook.grades:
                    grade.auto_score = 0.0
                    grade.needs_manual_grade = grade.manual_score is not None
                for comment in notebook.comments:
                    comment.auto_comment = None
                gradebook.db.commit()
        return nb, resources


def _language(resources: Resources) -> str:
    """The language of the released notebook, in small letters; "" when it says none."""
    names = resources["nbgrader"]
    if "language" not in names:
        with Gradebook(names["db_url"]) as gradebook:
            try:
                spec = gradebook.find_notebook(names["notebook"], names["assignment"]).kernelspec
            except MissingEntry:
                spec = None
        kernel = json.loads(spec) if spec else {}
        name = kernel.get("language") or ("r" if kernel.get("name") == "ir" else "")
        names["language"] = str(name).lower()
    return str(names["language"])


def _released(names: Mapping[str, str]) -> Any:
    """The rows of what was released, as plain values: see :func:`with_released`."""
    with Gradebook(names["db_url"]) as gradebook:
        row = gradebook.find_notebook(names["notebook"], names["assignment"])
        cells = {cell.name: (cell.checksum, cell.source) for cell in row.source_cells}
        points = {cell.name: cell.max_score for cell in (*row.grade_cells, *row.task_cells)}
        return cells, points, json.loads(row.kernelspec) if row.kernelspec else None


def _require_same_points(result: NotebookResult, released: Any, assignment: str) -> None:
    theirs, mine = released[1], {task.id: task.max_score for task in result.tasks}
    differ = sorted(name for name in theirs | mine if theirs.get(name) != mine.get(name))
    if differ:
        raise AutograderError(
            f"the gradebook and source/{assignment} differ in {', '.join(differ)}; "
            f"run: nbgrader generate_assignment {assignment}"
        )


def _notebook(course: Course, result: NotebookResult, released: Any) -> dict[str, Any]:
    cells, _, kernelspec = released
    if result.notebook is not None:
        return with_released(autograded_notebook(result), cells, kernelspec)
    notebooks = {item.name: item for item in load_notebooks(course, result.assignment)}
    message = result.message or "The notebook cannot be read."
    nb = message_notebook(notebooks[result.name].nb, message, result.tasks, f"{result.name}.ipynb")
    return with_released(nb, cells, kernelspec, stubs=True)


def _engine_errors(result: NotebookResult) -> str:
    broken = [
        f"{task.id}: {check.message or check.outcome}"
        for task in result.tasks
        for check in task.checks
        if check.outcome is Outcome.ENGINE_ERROR
    ]
    return "; ".join(broken) or "the engine failed"
