"""Time, late penalties and pages of graded submissions, brought up to date without running a notebook."""

from __future__ import annotations

from typing import Any

from autograder import exchanged, ledger
from autograder.feedback import with_given
from autograder.given import is_ours, owners
from autograder.gradebook import Recorder
from autograder.gradebook_rows import AssignmentRows, Update, given
from autograder.staging import Staging, storage_error
from autograder.submitted_files import timestamp

__all__ = ["Updater"]


class Updater(Recorder):
    """A :class:`~autograder.gradebook.Recorder` that also changes what was recorded before."""

    def refresh(self, student: str, assignment: str) -> Update | None:
        """Bring time, late penalties and pages of a graded submission up to date with ``timestamp.txt``, due
        date, extension, points by hand and ``nbgrader_config.py``. None when they were."""
        rows, staged = self._assignment(assignment), Staging()
        api, db = self._api, self._gradebook.db
        try:
            other_time = exchanged.stage(staged, self._course, student, assignment)
            with self._told():
                submission = (
                    db.query(api.SubmittedAssignment)
                    .filter_by(assignment_id=rows.id, student_id=student)
                    .one_or_none()
                )
                if submission is None:
                    return None
                was, text = submission.timestamp, timestamp(self._course.submitted(student, assignment))
                if other_time and (time := self._lateness.handed_in(text)) is not None:
                    submission.timestamp = time
                before, after = self._refresh_penalties(submission, rows)
                page, says = self._refresh_pages(staged, submission, assignment, rows)
                # A page that is only changed below counts as saying it: the next time sees that it does not.
                noted = self._note_given(student, assignment, page or says)
                other = None if submission.timestamp == was else submission.timestamp
                update = Update(student, assignment, other, sum(before), sum(after), page)
                changed = other is not None or before != after or noted
                if changed:
                    db.commit()
                else:
                    db.rollback()
            staged.publish()
        except OSError as error:
            folder = self._course.feedback_dir(student, assignment)
            raise storage_error(error, folder) from error
        finally:
            staged.discard()
        return update if other is not None or before != after or page else None

    def _note_given(self, student: str, assignment: str, says: bool) -> bool:
        """Keep in mind whether its pages say what a person gave; true where that is new."""
        names = {"student_id": student, "assignment": assignment}
        self._execute(ledger.CREATE_GIVEN)
        if says == (self._execute(ledger.HAS_GIVEN, **names).first() is not None):
            return False
        self._execute(ledger.INSERT_GIVEN if says else ledger.DELETE_GIVEN, **names)
        return True

    def _refresh_penalties(self, submission: Any, rows: AssignmentRows) -> tuple[list[float], list[float]]:
        """The late penalty of each notebook of ``submission`` before and after."""
        api, db = self._api, self._gradebook.db
        before, after = [], []
        due = db.get(api.Assignment, rows.id).duedate
        for row in db.query(api.SubmittedNotebook).filter_by(assignment_id=submission.id):
            grades = db.query(api.Grade).filter_by(notebook_id=row.id).all()
            was, now = row.late_submission_penalty, self._lateness.penalty(submission, due, grades)
            before.append(was or 0.0)
            after.append(now or 0.0)
            if before[-1] != after[-1]:
                row.late_submission_penalty = now
        return before, after

    def _refresh_pages(
        self, staged: Staging, submission: Any, assignment: str, rows: AssignmentRows
    ) -> tuple[bool, bool]:
        """Drafts of the pages that do not say yet what a person gave: whether there are any, and whether a
        person gave anything."""
        api, db, course = self._api, self._gradebook.db, self._course
        names = {notebook.id: name for name, notebook in rows.notebooks.items()}
        results = {
            nb["notebook"]: nb for nb in ledger.result_of(course, submission.student_id, assignment) or ()
        }
        any_changed = any_given = False
        for row in db.query(api.SubmittedNotebook).filter_by(assignment_id=submission.id):
            name = names[row.notebook_id]
            path = course.feedback_dir(submission.student_id, assignment) / f"{name}.html"
            page = path.read_text("utf-8", "replace") if path.is_file() else ""
            if name not in results or not is_ours(page):
                continue
            notebook = rows.notebooks[name]
            cells = {name: cell for name, (cell, _) in notebook.graded.items()}
            tasks = [task["id"] for task in results[name]["tasks"]]
            if not cells.keys() >= set(tasks):
                continue  # released anew with other tasks: the page is about the old ones
            told = given(
                tasks,
                owners(self._released(assignment, name, rows).nb["cells"]),
                self._rows_of(api.Grade, row.id, cells),
                self._rows_of(api.Comment, row.id, notebook.commented),
                row.late_submission_penalty,
            )
            any_given |= any(task.by_person or task.comment for task in told.tasks)
            mended = with_given(page, told)
            if mended != page:
                staged.add(path, mended.encode("utf-8", "replace"), mode=0o644, durable=True)
                any_changed = True
        return any_changed, any_given
