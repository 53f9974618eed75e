"""A plain table: a row for each task of each submission, for a spreadsheet or another program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from autograder.lms.grades import Grades, TaskScore
from autograder.lms.tables import harmless, render
from autograder.lms.writing_out import Export

__all__ = ["COLUMNS", "export"]

COLUMNS: Final = (
    *("student", "assignment", "notebook", "task", "kind", "score", "max_score", "manual"),
    *("late_penalty", "outcome", "standing", "reason"),
)


def export(assignments: Mapping[str, Sequence[Grades]]) -> Export:
    """All submissions, whatever their standing: it is a column. A score that is not there is an empty cell.

    ``late_penalty`` stands once a notebook, in the row of its first task: sums over the rows come out right.
    """
    made = Export()
    rows: list[Sequence[str]] = [COLUMNS]
    for graded in assignments.values():
        for grades in graded:
            seen: set[str] = set()
            for task in grades.tasks:
                penalty = 0.0 if task.notebook in seen else (grades.penalties or {}).get(task.notebook, 0.0)
                seen.add(task.notebook)
                rows.append(_row(grades, task, penalty))
            if not grades.tasks:
                blank = ("",) * 8
                rows.append((harmless(grades.student), grades.assignment, *blank, *_standing(grades)))
            made.written.append(grades.student)
    made.files["grades.csv"] = render(rows).encode()
    return made


def _row(grades: Grades, task: TaskScore, penalty: float) -> tuple[str, ...]:
    return (
        *(harmless(text) for text in (grades.student, grades.assignment, task.notebook, task.task)),
        task.kind,
        _number(task.score),
        _number(task.max_score),
        _number(task.manual),
        _number(penalty),
        task.outcome,
        *_standing(grades),
    )


def _standing(grades: Grades) -> tuple[str, str]:
    return grades.standing.value, harmless(grades.reason)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
