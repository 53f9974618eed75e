"""The gradebook as a database: opening it, what its errors mean, and reading scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from autograder import nbgrader_models
from autograder.errors import GradebookError, StorageError, UsageError
from autograder.layout import Course

__all__ = ["INDEXES", "Score", "database_errors", "open_gradebook", "require_gradebook", "scores"]

INDEXES: Final = tuple(
    f"create index if not exists autograder_{table}_{column} on {table} ({column})"
    for table, column in (
        ("submitted_assignment", "student_id"),
        ("submitted_notebook", "assignment_id"),
        ("grade", "notebook_id"),
        ("comment", "notebook_id"),
    )
)
"""nbgrader's tables have no index by which the rows of one submission are found: with 10,000 of them it reads
170,000 rows for each."""


@dataclass(frozen=True, slots=True)
class Score:
    """One student's score of one assignment as the gradebook has it, corrections by hand included."""

    student: str
    first_name: str | None
    last_name: str | None
    email: str | None
    lms_user_id: str | None
    score: float
    max_score: float
    late_penalty: float
    needs_manual_grade: bool
    timestamp: datetime | None


def require_gradebook(path: Path) -> None:
    """GradebookError when there is none at ``path``; nbgrader would make an empty one."""
    if not path.is_file():
        raise GradebookError(f"there is no gradebook {path}; run: autograder release")


def open_gradebook(path: Path, busy_s: float, *, writer: bool = False) -> Any:
    """nbgrader's Gradebook of an existing database, patient with other writers.

    A ``writer`` has each of its transactions locked from its first statement on, so that what it reads is
    what it changes.
    """
    from sqlalchemy import event

    gradebook = nbgrader_models.api().Gradebook(f"sqlite:///{path}", "")  # "": do not add a course
    gradebook.db.remove()
    gradebook.engine.dispose()

    def connected(connection: Any, record: object) -> None:
        connection.execute(f"pragma busy_timeout = {int(busy_s * 1000)}")
        if writer:
            connection.execute("pragma synchronous = full")  # a commit is on the disk, whatever the default
            connection.isolation_level = None  # Python's driver would begin transactions too late

    event.listen(gradebook.engine, "connect", connected)
    if writer:
        event.listen(gradebook.engine, "begin", _begin)
    return gradebook


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("begin immediate")


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn an error of the database at ``path`` into a GradebookError that says what to do."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error)
        kind, cure = _cure(reason, path)
        raise kind(f"{path}: {reason}; nothing of this submission was recorded; {cure}") from error


def _cure(reason: str, path: Path) -> tuple[type[GradebookError], str]:
    """What to do about an error of SQLite."""
    if "locked" in reason or "busy" in reason:
        return StorageError, "another program is writing to it; wait or close it, then grade again"
    if "full" in reason or "disk I/O" in reason:
        return StorageError, f"the disk of {path.parent} is full or failing: make room, then grade again"
    if "readonly" in reason or "unable to open" in reason:
        return StorageError, f"run: chmod u+w {path} {path.parent}"
    if "malformed" in reason:
        return StorageError, "restore it from a backup, then grade again"
    return GradebookError, "back it up, then run: nbgrader db upgrade"


def scores(course: Course, assignment: str) -> tuple[Score, ...]:
    """Scores of all submissions to ``assignment``, by student id. ``late_penalty`` is taken off already."""
    path = course.gradebook_path
    require_gradebook(path)
    api = nbgrader_models.api()
    with database_errors(path):
        gradebook = open_gradebook(path, 30.0)
        try:
            try:
                row = gradebook.find_assignment(assignment)
            except api.MissingEntry:
                raise UsageError(f"assignment {assignment} is not in {path}") from None
            columns = (
                api.Student.id,
                api.Student.first_name,
                api.Student.last_name,
                api.Student.email,
                api.Student.lms_user_id,
                api.SubmittedAssignment.score,
                api.SubmittedAssignment.max_score,
                api.SubmittedAssignment.late_submission_penalty,
                api.SubmittedAssignment.needs_manual_grade,
                api.SubmittedAssignment.timestamp,
            )
            found = (
                gradebook.db.query(*columns)
                .join(api.SubmittedAssignment, api.SubmittedAssignment.student_id == api.Student.id)
                .filter(api.SubmittedAssignment.assignment_id == row.id)
                .order_by(api.Student.id)
                .all()
            )
        finally:
            gradebook.close()
    return tuple(
        Score(
            student=row[0],
            first_name=row[1],
            last_name=row[2],
            email=row[3],
            lms_user_id=row[4],
            score=max(0.0, row[5] - (row[7] or 0.0)),
            max_score=row[6],
            late_penalty=row[7] or 0.0,
            needs_manual_grade=bool(row[8]),
            timestamp=row[9],
        )
        for row in found
    )
