"""Scores into nbgrader's gradebook, and out of it.

:class:`Recorder` leaves the rows and files that ``nbgrader autograde`` leaves, through nbgrader's own models,
in one transaction a submission and without its detours; a test holds the two against each other. It is the
only writer: one process, one session.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from autograder import exchanged, ledger, nbgrader_models
from autograder.errors import GradebookError, StorageError
from autograder.gradebook_db import (
    INDEXES,
    Score,
    database_errors,
    open_gradebook,
    require_gradebook,
    scores,
)
from autograder.gradebook_files import (
    autograded_notebook,
    copied_files,
    message_notebook,
    with_released,
)
from autograder.gradebook_rows import (
    AssignmentRows,
    NotebookRows,
    check_same_cells,
    fill,
    fill_nothing,
    is_sound,
)
from autograder.lateness import Lateness
from autograder.layout import Course
from autograder.models import NotebookResult, SubmissionResult
from autograder.notebook import AssignmentNotebook
from autograder.release_files import notebook_text
from autograder.released import load_notebooks
from autograder.stages import Stages
from autograder.staging import Staging, storage_error
from autograder.submitted_files import timestamp as stored_timestamp

__all__ = ["Recorder", "Score", "scores"]


class Recorder:
    """Writes results into the gradebook, ``autograded/`` and ``feedback/`` of ``course``: a context manager.

    The order of writes of one submission is: all its files as drafts, then the one transaction, then the
    renames, autograded notebooks last. A run that is killed leaves old scores with old files, or new scores
    whose ledger entry names files that are not there yet; that submission counts as not graded.

    ``busy_s`` is how long it waits while another program writes to the gradebook. Every failure is a
    :class:`~autograder.errors.GradebookError` that says what to do.
    """

    def __init__(self, course: Course, *, busy_s: float = 30.0) -> None:
        self._course = course
        self._path = course.gradebook_path
        self._busy_s = busy_s
        self.stages = Stages()
        """Where the time of :meth:`record` goes: notebook (and the other files), database."""
        self._assignments: dict[str, AssignmentRows] = {}
        self._lateness = Lateness(course.root)
        self._gradebook: Any = None
        self._api: Any = None
        self._indexed = False
        self._published: list[dict[str, str]] = []
        """Entries of the ledger whose files have their places since: told with the next transaction."""

    def __enter__(self) -> Self:
        require_gradebook(self._path)
        self._check_access()
        self._api = nbgrader_models.api()
        with self._told():
            self._gradebook = open_gradebook(self._path, self._busy_s, writer=True)
            self._execute(ledger.CREATE)  # a database that is locked or broken says so before any grading
            self._gradebook.db.rollback()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._gradebook is not None:
            if self._published:
                # Not worth an error: without it the files are compared once more.
                with contextlib.suppress(GradebookError), self._told():
                    self._tell_published()
                    self._gradebook.db.commit()
            self._gradebook.close()
            self._gradebook = None

    def _missing(self, result: SubmissionResult) -> set[str]:
        """Names of notebooks that were not handed in, of a submission that has another one: as with nbgrader
        they have 0 points and no autograded file. Where all are missing, the message needs a place."""
        folder = self._course.submitted(result.student, result.assignment)
        missing = {
            notebook.name
            for notebook in result.notebooks
            if notebook.notebook is None and not os.path.lexists(folder / f"{notebook.name}.ipynb")
        }
        sound = {notebook.name for notebook in result.notebooks if is_sound(notebook)}
        return missing & sound if missing != {notebook.name for notebook in result.notebooks} else set()

    def _check_access(self) -> None:
        root = self._course.root
        for path in (self._path, root, root / "autograded", root / "feedback"):
            if path.exists() and not os.access(path, os.W_OK):
                raise StorageError(f"{path} is read-only; run: chmod u+w {path}")

    def record(
        self,
        result: SubmissionResult,
        timestamp: datetime | str | None = None,
        *,
        pages: Mapping[str, str] | None = None,
        key: Mapping[str, str] | None = None,
    ) -> bool:
        """Record ``result``; in one transaction, all of it or nothing.

        ``timestamp`` is when it was handed in, UTC unless it says otherwise (default: ``timestamp.txt`` of
        the submission). A notebook that the engine failed on leaves its old scores as they are; the answer
        is whether there was no such notebook. ``pages`` are feedback pages by the notebook's name, written
        with the rest; with ``key`` (see :mod:`autograder.keys`) the ledger says what was graded.

        :raises StorageError: nothing can be stored now, of this or another submission.
        """
        if self._gradebook is None:
            raise GradebookError("the Recorder is not open; use: with Recorder(course) as recorder")
        sound = [notebook for notebook in result.notebooks if is_sound(notebook)]
        missing = self._missing(result)
        folder = self._course.autograded_dir(result.student, result.assignment)
        assignment = AssignmentRows("", {})
        if sound:
            with self._told():
                assignment = self._assignment(result.assignment)
        for notebook in sound:
            check_same_cells(notebook, assignment.notebooks.get(notebook.name), result.assignment)
        complete = len(sound) == len(result.notebooks)
        staged = Staging()
        try:
            with self.stages("notebook"):
                there = [notebook for notebook in sound if notebook.name not in missing]
                files = self._stage(staged, result, there, assignment, pages or {})
            if sound:
                with self.stages("database"), self._told():
                    submission_id = self._write_rows(
                        result, there, missing, assignment, self._timestamp(result, timestamp)
                    )
                    self._write_entry(result, submission_id, key if complete else None, files)
                    self._gradebook.db.commit()
                    self._indexed = True
            with self.stages("notebook"):
                staged.publish()
        except OSError as error:
            raise storage_error(error, folder) from error
        finally:
            staged.discard()
        if sound:
            self._published = []
            if key is not None and complete:
                self._published = [{"student_id": result.student, "assignment": result.assignment}]
            with contextlib.suppress(OSError):
                for path in folder.glob("*.ipynb"):  # no part of the assignment
                    if path.stem not in assignment.notebooks or path.stem in missing:
                        path.unlink()
        return complete

    # -- the ledger

    def _write_entry(
        self,
        result: SubmissionResult,
        submission_id: str,
        key: Mapping[str, str] | None,
        files: Mapping[str, str],
    ) -> None:
        self._execute(ledger.CREATE)
        if not self._indexed:
            for statement in INDEXES:
                self._execute(statement)
        self._tell_published()
        if key is None:
            self._execute(ledger.DELETE, student_id=result.student, assignment=result.assignment)
        else:
            self._execute(ledger.INSERT, **ledger.row(result, submission_id, key, files))

    def _tell_published(self) -> None:
        for names in self._published:
            self._execute(ledger.PUBLISHED, **names)

    def _execute(self, statement: str, **values: Any) -> Any:
        from sqlalchemy import text

        return self._gradebook.db.execute(text(statement), values)

    # -- files

    def _stage(
        self,
        staged: Staging,
        result: SubmissionResult,
        sound: list[NotebookResult],
        assignment: AssignmentRows,
        pages: Mapping[str, str],
    ) -> dict[str, str]:
        """Write all drafts. Gives the SHA-256 of pages and notebooks by their path below the course."""
        course, files = self._course, {}
        folder = course.autograded_dir(result.student, result.assignment)
        wanted: list[tuple[Path, bytes, int]] = []
        if sound:
            source = course.source_dir(result.assignment)
            for path, data in copied_files(course.submitted(result.student, result.assignment), source):
                with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
                    staged.add(folder / path, data)  # an older submission had a folder where this has a file
        if pages:  # nbgrader release_feedback looks for them beside the pages
            exchanged.stage(staged, course, result.student, result.assignment, feedback_alone=True)
        for name, page in pages.items():
            place = course.feedback_dir(result.student, result.assignment) / f"{name}.html"
            wanted.append((place, page.encode("utf-8", "replace"), 0o644))
        for notebook in sound:  # last: where they are, everything is
            content = notebook_text(self._notebook(notebook, assignment)).encode("utf-8", "replace")
            wanted.append((folder / f"{notebook.name}.ipynb", content, 0o444))
        for place, data, mode in wanted:
            staged.add(place, data, mode=mode, durable=True)
            files[place.relative_to(course.root).as_posix()] = hashlib.sha256(data).hexdigest()
        return files

    def _notebook(self, result: NotebookResult, assignment: AssignmentRows) -> dict[str, Any]:
        """The autograded notebook, with the checksums that the gradebook has."""
        rows = assignment.notebooks[result.name]
        if result.notebook is not None:
            return with_released(autograded_notebook(result), rows.cells, rows.kernelspec)
        released = self._released(result.assignment, result.name, assignment)
        message = result.message or "The notebook cannot be read."
        nb = message_notebook(released.nb, message, result.tasks, f"{result.name}.ipynb")
        return with_released(nb, rows.cells, rows.kernelspec, stubs=True)

    def _released(self, assignment: str, name: str, rows: AssignmentRows) -> AssignmentNotebook:
        if name not in rows.released:
            rows.released |= {item.name: item for item in load_notebooks(self._course, assignment)}
        return rows.released[name]

    def _timestamp(self, result: SubmissionResult, given: datetime | str | None) -> datetime | None:
        if given is None:
            given = stored_timestamp(self._course.submitted(result.student, result.assignment))
        return self._lateness.handed_in(given.isoformat() if isinstance(given, datetime) else given)

    # -- rows

    def _assignment(self, name: str) -> AssignmentRows:
        """Ids of what was released of assignment ``name``, read once."""
        if name in self._assignments:
            return self._assignments[name]
        try:
            row = self._gradebook.find_assignment(name)
        except self._api.MissingEntry:
            raise GradebookError(
                f"assignment {name} is not in {self._path}; run: autograder release {name}"
            ) from None
        found = AssignmentRows(row.id, {})
        for notebook in row.notebooks:
            rows = found.notebooks[notebook.name] = NotebookRows(notebook.id)
            for cell in (*notebook.grade_cells, *notebook.task_cells):
                rows.graded[cell.name] = (cell.id, cell.max_score)
            for cell in (*notebook.solution_cells, *notebook.task_cells):
                rows.commented[cell.name] = cell.id
            rows.task_cells = {cell.name for cell in notebook.task_cells}
            rows.cells = {cell.name: (cell.checksum, cell.source) for cell in notebook.source_cells}
            rows.kernelspec = json.loads(notebook.kernelspec) if notebook.kernelspec else None
        self._gradebook.db.rollback()
        self._assignments[name] = found
        return found

    def _write_rows(
        self,
        result: SubmissionResult,
        sound: list[NotebookResult],
        missing: set[str],
        assignment: AssignmentRows,
        timestamp: datetime | None,
    ) -> str:
        """nbgrader's rows, not yet committed. Gives the id of the submission."""
        api, db = self._api, self._gradebook.db
        if db.get(api.Student, result.student) is None:
            db.add(api.Student(id=result.student))
        submission = (
            db.query(api.SubmittedAssignment)
            .filter_by(assignment_id=assignment.id, student_id=result.student)
            .one_or_none()
        )
        if submission is None:
            submission = api.SubmittedAssignment(
                id=api.new_uuid(), assignment_id=assignment.id, student_id=result.student
            )
            db.add(submission)
        if timestamp is not None:
            submission.timestamp = timestamp
        due = db.get(api.Assignment, assignment.id).duedate
        rows = {
            row.notebook_id: row
            for row in db.query(api.SubmittedNotebook).filter_by(assignment_id=submission.id)
        }
        results = {notebook.name: notebook for notebook in sound}
        given = {notebook.name for notebook in result.notebooks} - missing
        for name, notebook in assignment.notebooks.items():
            row = rows.get(notebook.id)
            if row is None:
                row = api.SubmittedNotebook(
                    id=api.new_uuid(), notebook_id=notebook.id, assignment_id=submission.id
                )
                db.add(row)
            grades = self._rows_of(
                api.Grade, row.id, {name: cell for name, (cell, _) in notebook.graded.items()}
            )
            comments = self._rows_of(api.Comment, row.id, notebook.commented)
            if name in results:
                fill(results[name], notebook, grades, comments)
                row.late_submission_penalty = self._lateness.penalty(submission, due, grades.values())
            elif name not in given:
                fill_nothing(grades)
        db.flush()
        return str(submission.id)

    def _rows_of(self, table: Any, notebook_id: str, cells: Mapping[str, str]) -> dict[str, Any]:
        """The Grade or Comment row of each cell, by the cell's name; made where it is missing."""
        db = self._gradebook.db
        found = {row.cell_id: row for row in db.query(table).filter_by(notebook_id=notebook_id)}
        for cell_id in cells.values():
            if cell_id not in found:
                found[cell_id] = table(cell_id=cell_id, notebook_id=notebook_id)
                db.add(found[cell_id])
        return {name: found[cell_id] for name, cell_id in cells.items()}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn an error of the database into one that says what to do; nothing of the transaction stays."""
        with database_errors(self._path):
            try:
                yield
            except BaseException:  # Ctrl-C too: nothing of a transaction stays, and the error goes on
                if self._gradebook is not None:
                    self._gradebook.db.rollback()
                raise
