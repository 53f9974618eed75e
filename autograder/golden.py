"""Golden submissions: stored answers with the score they must get, kept as small TOML patches.

::

    about = "b as a column: broadcast to (o, o)"
    base = "solution"               # the released notebook with every solution filled in; or "release"

    [cells]                         # grade_id without "solution-" → the student's source
    affine = '''
    def affine(W, x, b): …
    '''

    [[insert]]                      # an extra cell of the student's, before or after the cell with a grade_id
    after = "affine"
    source = "print('hello')"

    [expect]
    score = 16.0                    # of the submission
    outcome = "FAILED"              # of the submission
    tasks = {affine = 0.0}          # the others are full (base "solution") or 0 (base "release")
    mistakes = {affine = "column_bias"}     # the first one named in that task; the others name none
    messages = {affine = "broadcast"}       # part of a message of that task
    message = "…"                   # part of the submission's own message

    [limits]                        # changes to autograder.limits.Limits
    cell_wall_s = 2

Instead of ``base`` there may be ``file = "truncated.ipynb"``, a file beside the TOML file, where the file
itself is the case; then only what ``[expect]`` states is compared.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from typing import Any

from autograder.errors import UsageError
from autograder.layout import Course
from autograder.limits import Limits
from autograder.models import NotebookResult, Outcome, TaskKind, TaskResult

__all__ = ["Expected", "Golden", "Insert", "load", "load_all", "right_answers"]

_KEYS = frozenset({"about", "base", "cells", "expect", "file", "insert", "limits"})
_EXPECT_KEYS = frozenset({"message", "messages", "mistakes", "outcome", "score", "tasks"})
_BASES = ("solution", "release")
_MARKERS = ("### BEGIN SOLUTION", "### END SOLUTION")


@dataclass(frozen=True, slots=True)
class Insert:
    """An extra cell: ``before`` says on which side of the cell ``grade_id`` it goes."""

    grade_id: str
    source: str
    before: bool
    cell_type: str = "code"


@dataclass(frozen=True, slots=True)
class Expected:
    """What grading must give; None and empty: not stated."""

    score: float | None = None
    outcome: Outcome | None = None
    tasks: Mapping[str, float] = field(default_factory=dict)
    mistakes: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True, slots=True)
class Golden:
    """One golden submission. ``file`` is set when it is a whole file; ``base`` is empty then."""

    name: str
    assignment: str
    about: str
    base: str
    file: Path | None
    cells: Mapping[str, str]
    inserts: tuple[Insert, ...]
    expected: Expected
    limit_changes: Mapping[str, float] = field(default_factory=dict)

    def limits(self, limits: Limits) -> Limits:
        """``limits`` with the changes of this submission."""
        return limits.with_changes(self.limit_changes)

    def notebook_bytes(self, course: Course) -> bytes:
        """The notebook file, the same bytes each time.

        :raises UsageError: the course has no release, or a patch names a cell that is not there.
        """
        if self.file is not None:
            return self.file.read_bytes()
        notebook = _base(course, self.assignment, solved=self.base == "solution")
        for key, source in self.cells.items():
            self._cell(notebook, f"solution-{key}", key)["source"] = source
        for number, insert in enumerate(self.inserts, 1):
            cells = notebook["cells"]
            place = cells.index(self._cell(notebook, insert.grade_id))
            cells.insert(place if insert.before else place + 1, _new_cell(insert, number))
        return (json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()

    def compare(self, result: NotebookResult) -> list[str]:
        """How ``result`` differs from what is expected, a line each; empty when it does not."""
        expected = self.expected
        differences = [
            f"{task.id}: {_points(task.score)} points instead of {_points(wanted)}"
            for task in result.tasks
            if (wanted := self._wanted(task)) is not None and not _same(task.score, wanted)
        ]
        known = {task.id: task for task in result.tasks}
        stated = (*expected.tasks, *expected.mistakes, *expected.messages)
        differences += [f"{id}: there is no such task" for id in dict.fromkeys(stated) if id not in known]
        if expected.score is not None and not _same(result.score, expected.score):
            differences.append(f"score {_points(result.score)} instead of {_points(expected.score)}")
        if expected.outcome is not None and result.outcome is not expected.outcome:
            differences.append(f"outcome {result.outcome} instead of {expected.outcome}")
        for task in result.tasks:
            if not self.file or expected.mistakes:
                differences += _compare_mistake(task, expected.mistakes.get(task.id))
            part = expected.messages.get(task.id)
            if part and not any(part in (check.message or "") for check in task.checks):
                differences.append(f"{task.id}: no message says {part!r}")
        if expected.message and expected.message not in (result.message or ""):
            differences.append(f"the message is {result.message!r}, without {expected.message!r}")
        return differences

    def _wanted(self, task: TaskResult) -> float | None:
        if task.id in self.expected.tasks:
            return self.expected.tasks[task.id]
        if task.kind is TaskKind.MANUAL or not self.base:
            return None
        return task.max_score if self.base == "solution" else 0.0

    def _cell(self, notebook: Mapping[str, Any], *grade_ids: str) -> dict[str, Any]:
        for grade_id in grade_ids:
            for cell in notebook["cells"]:
                if _marks(cell).get("grade_id") == grade_id:
                    return _object(cell)
        wanted = " or ".join(grade_ids)
        raise UsageError(
            f"golden submission {self.name}: {self.assignment} has no cell with grade_id {wanted}"
        )


def _object(cell: Any) -> dict[str, Any]:
    """``cell`` itself, which must be a JSON object."""
    if not isinstance(cell, dict):
        raise UsageError("a notebook's cells must be JSON objects")
    return cell


def right_answers(course: Course, assignment: str) -> dict[str, str]:
    """The sources of the solution cells of base "solution", by the names that ``[cells]`` gives them."""
    cells = _base(course, assignment, solved=True)["cells"]
    ids = {
        str(_marks(cell).get("grade_id")): cell["source"] for cell in cells if _marks(cell).get("solution")
    }
    return {id.removeprefix("solution-"): source for id, source in ids.items()}


def load_all(folder: Path) -> list[Golden]:
    """Every golden submission of ``folder``, which is named as its assignment; sorted by name."""
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise UsageError(f"there are no golden submissions in {folder}: run this in a clone of the course")
    return [load(path) for path in paths]


def load(path: Path) -> Golden:
    """The golden submission in the TOML file ``path``.

    :raises UsageError: it is not readable or says something that this format does not know.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    _known(path, "", data, _KEYS)
    base, file = str(data.get("base", "")), data.get("file")
    if (base in _BASES) == (file is not None):
        raise UsageError(f'{path}: say either base = "solution", base = "release" or file = "….ipynb"')
    if file is not None and ("cells" in data or "insert" in data):
        raise UsageError(f"{path}: a whole file is taken as it is; leave out [cells] and [[insert]]")
    try:
        return Golden(
            name=path.stem,
            assignment=path.parent.name,
            about=str(data.get("about", "")),
            base=base,
            file=path.parent / str(file) if file is not None else None,
            cells={str(key): str(source).rstrip("\n") for key, source in data.get("cells", {}).items()},
            inserts=tuple(_insert(path, item) for item in data.get("insert", ())),
            expected=_expected(path, data.get("expect", {})),
            limit_changes=dict(data.get("limits", {})),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error


def _insert(path: Path, item: Mapping[str, Any]) -> Insert:
    _known(path, "insert.", item, frozenset({"after", "before", "source", "cell_type"}))
    if ("before" in item) == ("after" in item) or "source" not in item:
        raise UsageError(f"{path}: an [[insert]] has a source and either before or after")
    before = "before" in item
    id = str(item["before"] if before else item["after"])
    return Insert(id, str(item["source"]).rstrip("\n"), before, str(item.get("cell_type", "code")))


def _expected(path: Path, data: Mapping[str, Any]) -> Expected:
    _known(path, "expect.", data, _EXPECT_KEYS)
    return Expected(
        score=float(data["score"]) if "score" in data else None,
        outcome=Outcome(data["outcome"]) if "outcome" in data else None,
        tasks={str(id): float(score) for id, score in data.get("tasks", {}).items()},
        mistakes={str(id): str(mistake) for id, mistake in data.get("mistakes", {}).items()},
        messages={str(id): str(part) for id, part in data.get("messages", {}).items()},
        message=str(data.get("message", "")),
    )


def _known(path: Path, prefix: str, data: Mapping[str, Any], keys: frozenset[str]) -> None:
    unknown = sorted(set(data) - keys)
    if unknown:
        named = ", ".join(prefix + key for key in unknown)
        raise UsageError(f"{path}: unknown {named}; known are {', '.join(sorted(keys))}")


def _base(course: Course, assignment: str, *, solved: bool) -> dict[str, Any]:
    """The released notebook, with every solution filled in if ``solved``."""
    notebook = _read(_only(course.release_dir(assignment), assignment))
    if solved:
        _fill_in(notebook, _read(course.source_notebooks(assignment)[0]))
    return notebook


def _only(folder: Path, assignment: str) -> Path:
    notebooks = sorted(folder.glob("*.ipynb"))
    if not notebooks:
        raise UsageError(f"{assignment} has no release; run: autograder release {assignment}")
    return notebooks[0]


def _read(path: Path) -> dict[str, Any]:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error
    for cell in notebook["cells"]:
        if isinstance(cell["source"], list):
            cell["source"] = "".join(cell["source"])
    return dict(notebook)


def _marks(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    marks = cell.get("metadata", {}).get("nbgrader", {})
    return marks if isinstance(marks, Mapping) else {}


def _fill_in(notebook: dict[str, Any], source: Mapping[str, Any]) -> None:
    """Put the instructor's solutions into ``notebook``."""
    solutions = {
        _marks(cell).get("grade_id"): cell["source"]
        for cell in source["cells"]
        if _marks(cell).get("solution")
    }
    for cell in notebook["cells"]:
        marks = _marks(cell)
        if marks.get("solution") and marks.get("grade_id") in solutions:
            lines = solutions[marks["grade_id"]].split("\n")
            cell["source"] = "\n".join(line for line in lines if line.strip() not in _MARKERS)


def _new_cell(insert: Insert, number: int) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": insert.cell_type, "id": f"inserted-{number}", "metadata": {}}
    if insert.cell_type == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"source": insert.source}


def _compare_mistake(task: TaskResult, wanted: str | None) -> list[str]:
    named = next((check.mistake for check in task.checks if check.mistake), None)
    if named == wanted:
        return []
    return [f"{task.id}: the mistake named is {named or 'none'} instead of {wanted or 'none'}"]


def _same(score: float | None, wanted: float) -> bool:
    return score is not None and isclose(score, wanted, abs_tol=1e-9)


def _points(score: float | None) -> str:
    return "no" if score is None else f"{score:g}"
