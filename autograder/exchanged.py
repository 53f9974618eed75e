"""What nbgrader's exchange adds to a submission, handed on as nbgrader's own steps do.

``nbgrader release_feedback`` reads ``timestamp.txt`` and ``submission_secret.txt`` beside the pages in
``feedback/``: under the second it leaves a page where only its student finds it. Where they are those of the
submission, ``nbgrader generate_feedback`` also takes our pages for current, and leaves them alone.
"""

from __future__ import annotations

import contextlib

from autograder.layout import Course
from autograder.staging import Staging
from autograder.submitted_files import exchange_files

__all__ = ["is_current", "stage"]


def is_current(course: Course, student: str, assignment: str) -> bool:
    """Whether what the exchange added to a graded submission is what was handed on."""
    found = exchange_files(course.submitted(student, assignment)).items()
    folders = (course.autograded_dir(student, assignment), course.feedback_dir(student, assignment))
    return all(found <= exchange_files(folder).items() for folder in folders)


def stage(
    staged: Staging, course: Course, student: str, assignment: str, *, feedback_alone: bool = False
) -> bool:
    """Drafts of what is not current, in ``feedback/`` and ``autograded/``.

    Gives whether the time differs from the one that lies with the autograded notebooks.
    """
    found = exchange_files(course.submitted(student, assignment))
    graded = course.autograded_dir(student, assignment)
    before = exchange_files(graded)
    for folder, mode in ((course.feedback_dir(student, assignment), 0o644), (graded, 0o444)):
        there = exchange_files(folder)
        for name, data in found.items():
            if there.get(name) != data and not (feedback_alone and folder == graded):
                with contextlib.suppress(NotADirectoryError, IsADirectoryError):
                    staged.add(folder / name, data, mode=mode)
    return "timestamp.txt" in found and before.get("timestamp.txt") != found["timestamp.txt"]
