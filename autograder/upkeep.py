"""What changes for a graded submission without a run: when it was handed in, and what that costs.

The same answer handed in again, a due date or an extension that came later, points by hand below which a
penalty cannot stay, another rule in ``nbgrader_config.py``: ``autograder grade`` asks :func:`due` which
submissions may be concerned, which takes milliseconds, and :func:`refresh` brings them up to date.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autograder import exchanged, ledger
from autograder.display import clean_text
from autograder.gradebook import Recorder
from autograder.gradebook_rows import Update
from autograder.layout import Course
from autograder.schedule import Job
from autograder.writing import one_writer

__all__ = ["due", "refresh", "text"]


def due(course: Course, done: Sequence[Job]) -> list[Job]:
    """Those of the graded submissions ``done`` that may not be up to date."""
    late = ledger.late(course) if done else set()
    return [
        job
        for job in done
        if (job.student, job.assignment) in late
        or not exchanged.is_current(course, job.student, job.assignment)
    ]


def refresh(course: Course, done: Sequence[Job]) -> Iterator[Update]:
    """Bring the graded submissions ``done`` up to date; gives those that changed.

    :raises GradebookError: another process is writing scores, or the gradebook cannot be written.
    """
    wanted = due(course, done)
    if wanted:
        with one_writer(course), Recorder(course) as recorder:
            for job in wanted:
                update = recorder.refresh(job.student, job.assignment)
                if update is not None:
                    yield update


def text(update: Update) -> str:
    """One line for the instructor."""
    words = f"{clean_text(update.student)} {update.assignment}: not run again"
    if update.handed_in is not None:
        words += f", handed in {update.handed_in:%Y-%m-%d %H:%M:%S} UTC"
    if update.penalty_before != update.penalty:
        words += f", late penalty {update.penalty_before:g} → {update.penalty:g}"
    return words
