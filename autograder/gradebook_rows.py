"""The rows of a submission: which values a result gives them. No database in here.

``grades`` and ``comments`` map a cell's name to its row, an object with nbgrader's column names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from autograder.assignment import AssignmentNotebook, nbgrader_checksum
from autograder.errors import GradebookError
from autograder.given import Given, TaskGiven
from autograder.gradebook_files import clamp
from autograder.models import NotebookResult, Outcome, TaskKind

__all__ = [
    "AssignmentRows",
    "NotebookRows",
    "Update",
    "check_same_cells",
    "fill",
    "fill_nothing",
    "given",
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
    cells: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """Name to checksum and text of the released cells."""
    kernelspec: dict[str, Any] | None = None


@dataclass(slots=True)
class AssignmentRows:
    """The rows of one released assignment. ``released``: its notebooks as students got them, once read."""

    id: str
    notebooks: dict[str, NotebookRows]
    released: dict[str, AssignmentNotebook] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Update:
    """What changed for a graded submission without a run.

    ``handed_in``: UTC, None for the same as before; penalties in points; ``page``: on a feedback page.
    """

    student: str
    assignment: str
    handed_in: datetime | None
    penalty_before: float
    penalty: float
    page: bool


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


def given(
    tasks: Iterable[str],
    owners: Mapping[str, str],
    grades: Mapping[str, Any],
    comments: Mapping[str, Any],
    penalty: float | None,
) -> Given:
    """What the rows of a notebook say to its student; ``tasks`` in the order of the page."""
    found = []
    for task in tasks:
        grade = grades[task]
        told = [
            row.manual_comment
            for name, row in comments.items()
            if owners.get(name) == task and row.manual_comment
        ]
        found.append(
            TaskGiven(
                score=total(grade),
                max_score=float(grade.max_score),
                by_person=grade.manual_score is not None or bool(grade.extra_credit),
                waits=grade.manual_score is None and grade.auto_score is None,
                comment="\n".join(told),
            )
        )
    return Given(found, penalty or 0.0)


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
        if (
            name in notebook.commented
            and nbgrader_checksum(cell["source"], cell["cell_type"], meta)
            == notebook.cells.get(name, (None, None))[0]
        ):
            found.add(name)
    return found
