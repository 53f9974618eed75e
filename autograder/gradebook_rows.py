"""The rows of a submission: which values a result gives them. No database in here.

``grades`` and ``comments`` map a cell's name to its row, an object with nbgrader's column names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from autograder.assignment import AssignmentNotebook, nbgrader_checksum
from autograder.errors import GradebookError
from autograder.gradebook_files import clamp
from autograder.models import NotebookResult, Outcome, TaskKind

__all__ = [
    "AssignmentRows",
    "NotebookRows",
    "Update",
    "check_same_cells",
    "fill",
    "fill_nothing",
    "is_sound",
    "total",
]

_NO_ANSWER = "No response."
"""nbgrader's comment on a solution cell that was left as released."""


@dataclass(slots=True)
class NotebookRows:
    """The rows of one released notebook that grading needs: names to ids."""

    id: str
    graded: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Name to (cell id, points) of test cells, answers and task cells."""
    commented: dict[str, str] = field(default_factory=dict)
    task_cells: set[str] = field(default_factory=set)
    checksums: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class AssignmentRows:
    """The rows of one released assignment. ``released``: its notebooks as students got them, once read."""

    id: str
    notebooks: dict[str, NotebookRows]
    released: dict[str, AssignmentNotebook] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Update:
    """What became of a graded submission without a run. ``handed_in``: UTC; penalties in points."""

    student: str
    assignment: str
    handed_in: datetime | None
    penalty_before: float
    penalty: float


def is_sound(result: NotebookResult) -> bool:
    """Whether the engine came to a verdict on every task that is its own."""
    return result.outcome is not Outcome.ENGINE_ERROR and all(
        task.score is not None or task.kind is TaskKind.MANUAL for task in result.tasks
    )


def check_same_cells(result: NotebookResult, rows: NotebookRows | None, assignment: str) -> None:
    """Refuse results that the gradebook has no place for: the source was changed after its release."""
    if rows is None:
        raise GradebookError(
            f"notebook {result.name} of {assignment} is not in the gradebook; "
            f"run: autograder release {assignment}"
        )
    theirs = {name: points for name, (_, points) in rows.graded.items()}
    mine = {task.id: task.max_score for task in result.tasks}
    differ = sorted(name for name in theirs | mine if theirs.get(name) != mine.get(name))
    if differ:
        raise GradebookError(
            f"the gradebook and source/{assignment} differ in {', '.join(differ)}; "
            f"run: autograder release {assignment}"
        )


def total(grade: Any) -> float:
    """The points that a Grade row stands for."""
    score = grade.manual_score if grade.manual_score is not None else grade.auto_score
    return 0.0 if score is None else float(score) + float(grade.extra_credit or 0.0)


def fill(
    result: NotebookResult, notebook: NotebookRows, grades: Mapping[str, Any], comments: Mapping[str, Any]
) -> None:
    """Scores and comments of a graded notebook, as nbgrader's SaveAutoGrades sets them."""
    unreadable = result.notebook is None
    untouched = set() if unreadable else _untouched(result, notebook)
    for task in result.tasks:
        grade = grades[task.id]
        if unreadable:
            _set(grade, clamp(task) or 0.0)
        elif task.id in notebook.task_cells:
            grade.auto_score = None  # nbgrader leaves these to a person alone
            grade.needs_manual_grade = grade.manual_score is None
        elif task.kind is TaskKind.MANUAL:
            _set(grade, 0.0 if task.id in untouched else None)
        else:
            _set(grade, clamp(task))
    for name, comment in comments.items():
        empty = name in untouched and name not in notebook.task_cells
        comment.auto_comment = _NO_ANSWER if empty else None


def _set(grade: Any, score: float | None) -> None:
    """An earlier score by hand stays, and asks to be looked at again."""
    grade.auto_score = score
    grade.needs_manual_grade = grade.manual_score is not None or score is None


def fill_nothing(grades: Mapping[str, Any]) -> None:
    """A notebook that was not handed in."""
    for grade in grades.values():
        grade.auto_score = 0.0
        grade.needs_manual_grade = False


def _untouched(result: NotebookResult, notebook: NotebookRows) -> set[str]:
    """Names of cells that say what the release said."""
    assert result.notebook is not None  # asked by the caller
    found = set()
    for cell in result.notebook["cells"]:
        meta = cell["metadata"].get("nbgrader", {})
        name = meta.get("grade_id")
        if name in notebook.commented and nbgrader_checksum(
            cell["source"], cell["cell_type"], meta
        ) == notebook.checksums.get(name):
            found.add(name)
    return found
