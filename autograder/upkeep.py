"""What changes for a graded submission without a run: points by hand, when it was handed in, what that costs.

The same answer handed in again, a due date or an extension that came later, points and comments that a person
gave, another rule in ``nbgrader_config.py``: ``autograder grade`` asks :func:`due` which submissions may be
concerned, which takes milliseconds, and :func:`refresh` brings gradebook and feedback pages up to date.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autograder import exchanged, ledger
from autograder.display import clean_text
from autograder.gradebook_rows import Update
from autograder.gradebook_update import Updater
from autograder.layout import Course
from autograder.schedule import Job
from autograder.writing import one_writer

__all__ = ["due", "refresh", "text"]


def due(course: Course, done: Sequence[Job]) -> list[Job]:
    """Those of the graded submissions ``done`` that may not be up to date."""
    touched = ledger.touched(course) if done else set()
    return [
        job
        for job in done
        if (job.student, job.assignment) in touched
        or not exchanged.is_current(course, job.student, job.assignment)
    ]


def refresh(course: Course, done: Sequence[Job]) -> Iterator[Update]:
    """Bring the graded submissions ``done`` up to date; gives those that changed.

    :raises GradebookError: another process is writing scores, or the gradebook cannot be written.
    """
    wanted = due(course, done)
    if wanted:
        with one_writer(course), Updater(course) as updater:
            for job in wanted:
                update = updater.refresh(job.student, job.assignment)
                if update is not None:
                    yield update


def text(update: Update) -> str:
    """One line for the instructor."""
    words = f"{clean_text(update.student)} {update.assignment}: not run again"
    if update.handed_in is not None:
        words += f", handed in {update.handed_in:%Y-%m-%d %H:%M:%S} UTC"
    if update.penalty_before != update.penalty:
        words += f", late penalty {update.penalty_before:g} → {update.penalty:g}"
    if update.page:
        words += ", feedback page updated"
    return words
