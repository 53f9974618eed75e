"""What was graded, with which key, and with what result: a table of our own in nbgrader's gradebook.

It is written in the transaction that writes the scores, so that the two cannot disagree, and nbgrader, which
does not know the table, carries it along. The table is made when the first submission is recorded; the
gradebook that ``autograder release`` makes does not have it.

An entry counts only with the submission that nbgrader has under the same id, and with the files that were
written for it: restoring an old gradebook, ``nbgrader db student remove`` and ``nbgrader autograde`` all make
it void. The reading side needs neither nbgrader nor SQLAlchemy.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from autograder.errors import GradebookError, StorageError
from autograder.layout import Course
from autograder.models import SubmissionResult

__all__ = [
    "CREATE",
    "CREATE_GIVEN",
    "DELETE",
    "DELETE_GIVEN",
    "HAS_GIVEN",
    "INSERT",
    "INSERT_GIVEN",
    "PUBLISHED",
    "Entry",
    "auto_scores",
    "entries",
    "holds",
    "is_whole",
    "touched",
    "result_of",
    "row",
]

TABLE: Final = "autograder_ledger"
CREATE: Final = f"""
create table if not exists {TABLE} (
    student_id varchar(128) not null,
    assignment varchar(128) not null,
    submission_id varchar(32) not null,
    key text not null,
    files text not null,
    result blob not null,
    graded_at varchar(32) not null,
    published integer not null,
    primary key (student_id, assignment)
)"""
INSERT: Final = f"""
insert or replace into {TABLE}
    (student_id, assignment, submission_id, key, files, result, graded_at, published)
values (:student_id, :assignment, :submission_id, :key, :files, :result, :graded_at, 0)"""
DELETE: Final = f"delete from {TABLE} where student_id = :student_id and assignment = :assignment"
PUBLISHED: Final = (
    f"update {TABLE} set published = 1 where student_id = :student_id and assignment = :assignment"
)
GIVEN: Final = "autograder_given"
CREATE_GIVEN: Final = f"""
create table if not exists {GIVEN} (
    student_id varchar(128) not null,
    assignment varchar(128) not null,
    primary key (student_id, assignment)
)"""
"""The submissions whose pages say something that a person gave, or may say it still: when it is taken back,
nothing else in the gradebook tells that they are concerned."""
HAS_GIVEN: Final = f"select 1 from {GIVEN} where student_id = :student_id and assignment = :assignment"
INSERT_GIVEN: Final = f"insert into {GIVEN} (student_id, assignment) values (:student_id, :assignment)"
DELETE_GIVEN: Final = f"delete from {GIVEN} where student_id = :student_id and assignment = :assignment"
_BUSY_S: Final = 30.0
_VALID: Final = f"""
from {TABLE} l join submitted_assignment s on s.id = l.submission_id and s.student_id = l.student_id
join assignment a on a.id = s.assignment_id and a.name = l.assignment"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One graded submission. ``key``: parts as in :mod:`autograder.keys`. ``files``: SHA-256 of what was
    written, by path below the course. ``published``: these files were seen in their places."""

    student: str
    assignment: str
    key: Mapping[str, str]
    files: Mapping[str, str]
    graded_at: str
    published: bool


def row(
    result: SubmissionResult, submission_id: str, key: Mapping[str, str], files: Mapping[str, str]
) -> dict[str, Any]:
    """The values for :data:`INSERT`."""
    notebooks = json.dumps([notebook.to_json() for notebook in result.notebooks], separators=(",", ":"))
    return {
        "student_id": result.student,
        "assignment": result.assignment,
        "submission_id": submission_id,
        "key": json.dumps(dict(key)),
        "files": json.dumps(dict(files)),
        "result": zlib.compress(notebooks.encode()),
        "graded_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def entries(course: Course, assignments: Sequence[str] | None = None) -> dict[tuple[str, str], Entry]:
    """The valid entries of ``assignments`` (default: all), by student and assignment."""
    found = {}
    with _reading(course) as database:
        query = f"select l.student_id, l.assignment, l.key, l.files, l.graded_at, l.published {_VALID}"
        for student, assignment, key, files, graded_at, published in _rows(database, query):
            if assignments is None or assignment in assignments:
                entry = Entry(
                    student, assignment, json.loads(key), json.loads(files), graded_at, bool(published)
                )
                found[student, assignment] = entry
    return found


def result_of(course: Course, student: str, assignment: str) -> list[dict[str, Any]] | None:
    """The stored result of a submission: its notebooks as in ``docs/json.md``; None when there is none."""
    with _reading(course) as database:
        query = f"select l.result {_VALID} where l.student_id = ? and l.assignment = ?"
        for (result,) in _rows(database, query, (student, assignment)):
            notebooks: list[dict[str, Any]] = json.loads(zlib.decompress(result))
            return notebooks
    return None


def auto_scores(
    course: Course, student: str, assignment: str
) -> dict[str, tuple[float | None, float | None]]:
    """Automatic score and score by hand of each task as the gradebook has them; empty when not graded."""
    query = """
select c.name, g.auto_score, g.manual_score from grade g join base_cell c on c.id = g.cell_id
join submitted_notebook n on n.id = g.notebook_id join submitted_assignment s on s.id = n.assignment_id
join assignment a on a.id = s.assignment_id where s.student_id = ? and a.name = ?"""
    with _reading(course) as database:
        return {name: (auto, manual) for name, auto, manual in _rows(database, query, (student, assignment))}


def touched(course: Course) -> set[tuple[str, str]]:
    """Student and assignment of the submissions whose points may have changed by something else than grading:
    late ones, extended or not, those that a person grades or commented on, and those where one has before."""
    query = """
select s.student_id, a.name from submitted_assignment s join assignment a on a.id = s.assignment_id
where s.timestamp > a.duedate or s.id in (
    select assignment_id from submitted_notebook where late_submission_penalty is not null or id in (
        select notebook_id from grade
        where auto_score is null or manual_score is not null or extra_credit is not null
        union select notebook_id from comment where manual_comment is not null))"""
    with _reading(course) as database:
        earlier = _rows(database, f"select student_id, assignment from {GIVEN}")
        return {(student, assignment) for student, assignment in (*_rows(database, query), *earlier)}


def holds(course: Course, entry: Entry, key: Mapping[str, str]) -> bool:
    """Whether a submission with ``key`` has its score, its autograded notebooks and its pages already."""
    return dict(entry.key) == dict(key) and is_whole(course, entry)


def is_whole(course: Course, entry: Entry) -> bool:
    """Whether the files of ``entry`` are all there and belong to it.

    A page that someone else wrote later (``nbgrader generate_feedback``) is left in peace.
    """
    pages = course.feedback_dir(entry.student, entry.assignment)
    for name, digest in entry.files.items():
        path = course.root / name
        try:
            if entry.published and path.is_relative_to(pages):
                if path.stat().st_size == 0:
                    return False
            elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                return False
        except OSError:
            return False
    return True


@contextmanager
def _reading(course: Course) -> Iterator[sqlite3.Connection | None]:
    """The database, or None when there is none yet. Not opened read-only: a killed writer's journal may have
    to be rolled back first."""
    path: Path = course.gradebook_path
    if not path.is_file():
        yield None
        return
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=_BUSY_S)
        ) as database:
            yield database
    except sqlite3.Error as error:
        if "locked" in str(error) or "busy" in str(error):
            raise StorageError(
                f"{path}: {error}; another program is writing to it; wait or close it, then run it again"
            ) from error
        raise GradebookError(f"{path}: {error}; back it up, then run: nbgrader db upgrade") from error


def _rows(database: sqlite3.Connection | None, query: str, values: Sequence[str] = ()) -> list[Any]:
    if database is None:
        return []
    known = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    needed = {"submitted_assignment", *(name for name in (TABLE, GIVEN) if name in query)}
    if not needed <= known:
        return []
    return database.execute(query, values).fetchall()
