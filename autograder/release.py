"""From ``source/`` to what is handed out: ``release/``, ``solutions/`` and ``gradebook.db``.

Everything is made in a temporary folder by nbgrader's own API, proved there, and only then put in place:

- every task of the source earns full points, every task of the untouched release none;
- no line of a solution or a hidden test is in the release;
- files that would say the same as before are left alone, files that no source accounts for go away.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

from autograder.errors import GradebookError, UsageError
from autograder.layout import Course
from autograder.limits import Limits
from autograder.models import NotebookResult, TaskKind
from autograder.notebook import AssignmentNotebook, load_assignment, read
from autograder.release_files import (
    gradebook_content,
    has_students,
    leaks,
    notebook_text,
    replace_file,
    same_solution,
    solution_notebook,
    sync,
)
from autograder.writing import one_writer

__all__ = ["AssignmentRelease", "Grade", "ReleaseReport", "release"]

Grade = Callable[[str, Path], NotebookResult]
"""``grade(assignment, path)``: the result of the notebook at ``path`` as a submission to ``assignment``."""


@dataclass(frozen=True, slots=True)
class AssignmentRelease:
    """What was released of one assignment. ``changed``: the files that were written or removed."""

    name: str
    tasks: int
    points: float
    changed: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class ReleaseReport:
    """What was released.

    ``gradebook`` is ``unchanged``, ``written``, or ``updated in place``: it has students, and nothing of
    theirs was touched.
    """

    assignments: tuple[AssignmentRelease, ...]
    gradebook: str

    @property
    def changed(self) -> tuple[Path, ...]:
        """All files that were written or removed."""
        return tuple(path for assignment in self.assignments for path in assignment.changed)

    @property
    def current(self) -> bool:
        """Whether there was nothing to do."""
        return not self.changed and self.gradebook == "unchanged"


def release(
    course: Course, assignments: Sequence[str] | None = None, *, grade: Grade, write: bool = True
) -> ReleaseReport:
    """Release ``assignments`` (default: all in ``source/``).

    ``write=False`` only says what would change. Raises :class:`~autograder.errors.UsageError` when a source
    cannot be released, its solution fails one of its own checks, or the release gives something away;
    nothing has been put in place then.
    """
    names = tuple(assignments or course.assignments())
    if not names:
        raise UsageError(f"there is nothing to release: {course.root / 'source'} has no notebooks")
    notebooks = {name: [load_assignment(path) for path in course.source_notebooks(name)] for name in names}
    # While scores are written, "it has no students" may be true now and false a moment later.
    alone = one_writer(course) if write and course.gradebook_path.is_file() else nullcontext()
    with alone, tempfile.TemporaryDirectory(prefix="autograder-release-") as folder:
        made = Course(Path(folder), course.suites)
        in_use = _copy_gradebook(course, made)
        for name in names:
            _copy_source(course, made, name)
        _generate(course, made, names, made.gradebook_path)
        if not in_use:
            _forget_removed(made, course)
        for name in names:
            _prove(course, made, name, grade)
        done = [_publish(course, made, name, notebooks[name], write=write) for name in names]
        return ReleaseReport(tuple(done), _publish_gradebook(course, made, names, in_use, write=write))


def _copy_gradebook(course: Course, made: Course) -> bool:
    """Start from the present gradebook, which may hold due dates. Gives whether it is in use."""
    path = course.gradebook_path
    if not path.exists():
        return False
    try:
        gradebook_content(path)
        shutil.copyfile(path, made.gradebook_path)
        return has_students(path)
    except sqlite3.Error as error:
        raise GradebookError(
            f"{path} is no gradebook of this nbgrader ({error}); back it up, then run: nbgrader db upgrade"
        ) from None


def _copy_source(course: Course, made: Course, name: str) -> None:
    shutil.copytree(
        course.source_dir(name),
        made.source_dir(name),
        ignore=shutil.ignore_patterns(".*", "__pycache__", "*.pyc"),
    )
    for path in made.source_notebooks(name):
        nb = json.loads(path.read_bytes())
        if nb.get("nbformat_minor", 0) >= 5 and not all("id" in cell for cell in nb["cells"]):
            raise UsageError(  # nbconvert would draw random ids, and each release would be another file
                f"{course.source_dir(name) / path.name} has cells without an id; open and save it in Jupyter"
            )


@contextmanager
def _own_programs() -> Iterator[None]:
    """nbgrader calls the program ``alembic`` for a new database: let it find the one installed beside us."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _generate(course: Course, made: Course, names: Sequence[str], database: Path) -> None:
    """Run nbgrader's generate_assignment in ``made`` with the course's own settings."""
    from nbgrader.apps.api import NbGraderAPI  # here: it takes seconds

    from autograder.nbgrader_settings import load

    config = load(course.root)
    config.CourseDirectory.root = str(made.root)
    config.CourseDirectory.db_url = f"sqlite:///{database}"
    api = NbGraderAPI(config=config)
    for name in names:
        with _own_programs():
            outcome = api.generate_assignment(name, force=True, create=True)
        if not outcome["success"]:
            raise UsageError(f"nbgrader cannot generate {name}:\n{_reason(outcome)}")


def _reason(outcome: Mapping[str, Any]) -> str:
    """nbgrader's error lines, without the traceback around them."""
    lines = str(outcome.get("log", "")).splitlines() + str(outcome.get("error", "")).splitlines()
    told = [line.strip() for line in lines if "Error:" in line or "Exception:" in line]
    return "\n".join(dict.fromkeys(told)) or "\n".join(lines[-5:])


def _forget_removed(made: Course, course: Course) -> None:
    """Drop assignments from the pristine gradebook whose source is gone."""
    from nbgrader.api import Gradebook

    present = set(course.assignments())
    with Gradebook(f"sqlite:///{made.gradebook_path}", "") as gradebook:
        for name in [assignment.name for assignment in gradebook.assignments]:
            if name not in present:
                gradebook.remove_assignment(name)


def _prove(course: Course, made: Course, name: str, grade: Grade) -> None:
    """Raise unless the release of ``name`` is fit to be handed out; leaves the solutions in ``made``."""
    paths = course.source_notebooks(name)
    shown = leaks([read(path, Limits()) for path in paths], made.release_dir(name))
    if shown:
        raise UsageError(f"the release of {name} would show its solution:\n" + "\n".join(shown[:10]))
    for path in paths:
        result = _graded(grade(name, path))
        _check_full(name, result)
        for task in _graded(grade(name, made.release_dir(name) / path.name)).tasks:
            if task.score:
                raise UsageError(
                    f"{name}: task {task.id} gives {task.score:g} points to the untouched release; "
                    "its checks must fail there"
                )
        solution = made.solutions_dir(name) / path.name
        solution.parent.mkdir(parents=True, exist_ok=True)
        solution.write_text(notebook_text(solution_notebook(_with_outputs(result))), encoding="utf-8")


def _graded(result: NotebookResult) -> NotebookResult:
    """``result`` itself; UsageError when there is none."""
    broken = [
        f"{task.id}: " + "; ".join(check.message or check.outcome.value for check in task.checks)
        for task in result.tasks
        if task.score is None and task.kind is not TaskKind.MANUAL
    ]
    if result.notebook is None or broken:
        reasons = "\n".join([result.message or "the engine failed", *broken])
        raise UsageError(f"{result.assignment}: {result.name} cannot be graded: {reasons}")
    return result


def _check_full(name: str, result: NotebookResult) -> None:
    failed = []
    for task in result.tasks:
        if task.score is not None and not isclose(task.score, task.max_score):
            messages = [f"{check.id}: {check.message}" for check in task.checks if check.explanation]
            failed.append("\n  ".join([f"{task.id}: {task.score:g} of {task.max_score:g} points", *messages]))
    if failed:
        raise UsageError(f"{name}: the source does not pass its own checks\n" + "\n".join(failed))


def _with_outputs(result: NotebookResult) -> dict[str, Any]:
    assert result.notebook is not None
    cells = [dict(cell) for cell in result.notebook["cells"]]
    for run in result.cells:
        if cells[run.index]["cell_type"] == "code":
            cells[run.index] |= {"outputs": list(run.outputs), "execution_count": run.execution_count}
    return {**result.notebook, "cells": cells}


def _publish(
    course: Course, made: Course, name: str, notebooks: Sequence[AssignmentNotebook], *, write: bool
) -> AssignmentRelease:
    """Put the release and the solutions of ``name`` in place."""
    for path in made.solutions_dir(name).iterdir():
        old = course.solutions_dir(name) / path.name
        if old.is_file() and same_solution(old.read_text(encoding="utf-8"), path.read_text(encoding="utf-8")):
            shutil.copyfile(old, path)
    changed = sync(made.release_dir(name), course.release_dir(name), write=write)
    changed += sync(made.solutions_dir(name), course.solutions_dir(name), write=write)
    tasks = [task for notebook in notebooks for task in notebook.tasks]
    return AssignmentRelease(name, len(tasks), sum(task.max_score for task in tasks), tuple(changed))


def _publish_gradebook(
    course: Course, made: Course, names: Sequence[str], in_use: bool, *, write: bool
) -> str:
    """Replace the gradebook when its content differs; one with students is changed through nbgrader only."""
    path = course.gradebook_path
    if path.exists() and gradebook_content(path) == gradebook_content(made.gradebook_path):
        return "unchanged"
    if not write:
        return "updated in place" if in_use else "written"
    if in_use:
        _generate(course, made, names, path)
        return "updated in place"
    replace_file(path, made.gradebook_path.read_bytes())
    return "written"
