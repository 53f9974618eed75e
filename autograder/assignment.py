"""The instructor's notebook: its cells, and the tasks in it.

What is kept is what a grader may know about a cell: of a solution cell only the stub, so that no solution is
in the memory of a process that handles submissions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from autograder.errors import NotebookError, UsageError
from autograder.ipynb import read
from autograder.limits import Limits
from autograder.models import TaskKind, TaskSpec
from autograder.regions import clear_solution, hidden_lines, student_view

__all__ = [
    "AssignmentCell",
    "AssignmentNotebook",
    "load_assignment",
    "nbgrader_checksum",
    "notebook_metadata",
]

_SCHEMA_VERSION = 3
"""Of nbgrader's cell metadata, since nbgrader 0.6."""
_AUTOTEST = re.compile(r"^\s*#.*\bAUTOTEST\b", re.MULTILINE)
_GRADE_ID = re.compile(r"[a-zA-Z0-9_\-]+")
_KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
_PYTHON = ("python", "python3", "ipython", "")


@dataclass(frozen=True, slots=True)
class AssignmentCell:
    """One cell of the instructor's notebook that has a ``grade_id``.

    ``source`` is what runs: of a solution cell only the stub (no solution is kept in memory), of a test cell
    the hidden tests too. ``display_source`` is what students may see. ``points`` is 0 when not graded.
    """

    id: str
    cell_id: str
    cell_type: str
    source: str
    display_source: str
    grade: bool
    solution: bool
    locked: bool
    task: bool
    points: float
    attachments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def graded(self) -> bool:
        """Whether it carries points."""
        return self.grade or self.task

    @property
    def editable(self) -> bool:
        """Whether the student writes it."""
        return self.solution

    def metadata(self) -> dict[str, Any]:
        """The cell's metadata as nbgrader (schema 3) writes them into a release."""
        nbgrader: dict[str, Any] = {
            "cell_type": self.cell_type,
            "grade": self.grade,
            "grade_id": self.id,
            "locked": self.locked,
            "schema_version": _SCHEMA_VERSION,
            "solution": self.solution,
            "task": self.task,
        }
        if self.graded:
            nbgrader["points"] = self.points
        nbgrader["checksum"] = nbgrader_checksum(self.source, self.cell_type, nbgrader)
        metadata: dict[str, Any] = {"deletable": False, "nbgrader": nbgrader}
        if not self.editable:
            metadata["editable"] = False
        return metadata


@dataclass(frozen=True, slots=True)
class AssignmentNotebook:
    """The instructor's notebook. ``cells`` are those with a ``grade_id``, ``tasks`` the graded ones.

    ``nb`` is the whole notebook as students see it (nbformat 4.5 dict, no solutions, no hidden tests).
    """

    name: str
    cells: tuple[AssignmentCell, ...]
    tasks: tuple[TaskSpec, ...]
    nb: Mapping[str, Any]


def nbgrader_checksum(source: str, cell_type: str, meta: Mapping[str, Any]) -> str:
    """nbgrader's checksum (MD5, no security meant) of a cell's text and of the role its metadata give it."""
    grade, solution = bool(meta.get("grade")), bool(meta.get("solution"))
    locked = not solution and (grade or bool(meta.get("locked")))
    parts = [source, cell_type, str(grade), str(solution), str(locked), meta["grade_id"]]
    if grade:
        parts.append(str(float(meta["points"])))
    return hashlib.md5("".join(parts).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def load_assignment(
    path: Path, suite_tasks: frozenset[str] = frozenset(), autotests: Mapping[str, str] | None = None
) -> AssignmentNotebook:
    """The instructor's notebook at ``path`` (from ``source/``).

    A task is a cell with points: graded by a person when it is a solution cell too (or one of nbgrader's
    task cells), by the suite when its id is in ``suite_tasks``, else by running it. ``autotests`` are texts
    by grade_id for the cells with AUTOTEST lines (see :mod:`autograder.released`). Anything in it that
    nbgrader could not release is a :class:`~autograder.errors.UsageError`.
    """
    try:
        nb = read(path, Limits())
    except NotebookError as error:
        raise UsageError(f"{path}: {error}") from None
    language = nb["metadata"].get("kernelspec", {}).get("language", "python").lower()
    if language not in _PYTHON:
        raise UsageError(f"{path}: the notebook's language is {language!r}; only Python can be graded")
    cells: list[AssignmentCell] = []
    shown: list[dict[str, Any]] = []
    for index, raw in enumerate(nb["cells"]):
        try:
            raw = _with_autotests(raw, autotests or {})
            cell = _assignment_cell(raw)
            _check_unmarked(raw, cell)
        except UsageError as error:
            raise UsageError(f"{path}, cell {index + 1}: {error}") from None
        if cell is None:
            shown.append({**raw, "metadata": {}})
            continue
        if any(cell.id == other.id for other in cells):
            raise UsageError(f"{path}, cell {index + 1}: the grade_id {cell.id!r} is used twice")
        cells.append(cell)
        shown.append({**raw, "source": cell.display_source, "metadata": cell.metadata()})
    tasks = tuple(
        TaskSpec(id=cell.id, max_score=cell.points, kind=_task_kind(cell, suite_tasks))
        for cell in cells
        if cell.graded
    )
    by_hand = sorted(task.id for task in tasks if task.kind is TaskKind.MANUAL and task.id in suite_tasks)
    if by_hand:
        raise UsageError(f"{path}: the suite has checks for {', '.join(by_hand)}, which a person grades")
    return AssignmentNotebook(
        path.stem, tuple(cells), tasks, {**nb, "metadata": notebook_metadata(), "cells": shown}
    )


def notebook_metadata() -> dict[str, Any]:
    """Metadata of every notebook that the engine writes: a Python 3 kernel, nothing else."""
    return {"kernelspec": dict(_KERNELSPEC), "language_info": {"name": "python"}}


def _task_kind(cell: AssignmentCell, suite_tasks: frozenset[str]) -> TaskKind:
    if cell.solution or cell.task:
        return TaskKind.MANUAL
    return TaskKind.SUITE if cell.id in suite_tasks else TaskKind.IN_KERNEL


def _check_unmarked(raw: Mapping[str, Any], cell: AssignmentCell | None) -> None:
    """Refuse regions where nothing would remove them."""
    source = raw["source"]
    if (cell is None or not cell.solution) and "BEGIN SOLUTION" in source:
        raise UsageError("it has a BEGIN SOLUTION region but is no solution cell")
    if (cell is None or not cell.grade) and "BEGIN HIDDEN TESTS" in source:
        raise UsageError("it has a BEGIN HIDDEN TESTS region but is no test cell")


def _with_autotests(raw: dict[str, Any], autotests: Mapping[str, str]) -> dict[str, Any]:
    """``raw`` with the text that nbgrader made of its AUTOTEST lines."""
    grade_id = raw["metadata"].get("nbgrader", {}).get("grade_id")
    if raw["cell_type"] == "code" and grade_id in autotests and _AUTOTEST.search(raw["source"]):
        return {**raw, "source": autotests[grade_id]}
    return raw


def _assignment_cell(raw: Mapping[str, Any]) -> AssignmentCell | None:
    """The instructor's cell, or None when nbgrader has no part in it."""
    meta = raw["metadata"].get("nbgrader")
    if not meta:
        return None
    flags = {key: meta.get(key, False) for key in ("grade", "solution", "locked", "task")}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise UsageError("a flag of its nbgrader metadata is neither true nor false")
    if not any(flags.values()):
        return None
    if meta.get("schema_version") != _SCHEMA_VERSION:
        raise UsageError("its nbgrader metadata are of an old version; run: nbgrader update source/")
    grade_id = meta.get("grade_id")
    if not isinstance(grade_id, str) or not _GRADE_ID.fullmatch(grade_id):
        raise UsageError(f"its grade_id {grade_id!r} is not made of letters, digits, - and _")
    code = raw["cell_type"] == "code"
    if raw["cell_type"] == "raw":
        raise UsageError(f"cell {grade_id!r} is a raw cell, which nbgrader cannot hold")
    if flags["task"] and (code or flags["grade"] or flags["solution"]):
        raise UsageError(f"task cell {grade_id!r} must be markdown and neither a solution nor a test")
    if not code and flags["grade"] != flags["solution"]:
        raise UsageError(f"markdown cell {grade_id!r} must be both graded and a solution, or neither")
    source = raw["source"]
    hidden_lines(source)  # complains about regions that do not close
    if code and flags["grade"] and _AUTOTEST.search(source):
        raise UsageError(
            f"test cell {grade_id!r} has AUTOTEST lines, which only nbgrader can fill in; release the "
            "assignment with nbgrader generate_assignment: its tests are then taken from the gradebook"
        )
    if flags["solution"]:
        source = clear_solution(source, grade_id, graded=flags["grade"], code=code)
    return AssignmentCell(
        id=grade_id,
        cell_id=raw["id"],
        cell_type=raw["cell_type"],
        source=source,
        display_source=student_view(source),
        points=_points(meta, grade_id) if flags["grade"] or flags["task"] else 0.0,
        attachments=raw.get("attachments", {}),
        **flags,
    )


def _points(meta: Mapping[str, Any], grade_id: str) -> float:
    points = meta.get("points")
    if isinstance(points, bool) or not isinstance(points, (int, float)) or not isfinite(points) or points < 0:
        raise UsageError(f"cell {grade_id!r} has no valid points ({points!r})")
    return float(points)
