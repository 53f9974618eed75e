"""Grade submissions and put the results where they belong: gradebook, ``autograded/``, ``feedback/``.

:func:`grade` is the loop behind ``autograder grade`` and ``autograder demo``. Results are recorded as they
come, one transaction a submission, so a stopped run keeps what it had and the next one goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from autograder import feedback
from autograder.errors import AutograderError, UsageError
from autograder.gradebook import Recorder
from autograder.layout import Course
from autograder.limits import Limits
from autograder.models import Outcome, SubmissionResult
from autograder.schedule import Job, grade_submissions

__all__ = ["Graded", "grade", "is_current", "jobs"]


@dataclass(frozen=True, slots=True)
class Graded:
    """A submission after its results were stored. ``problem`` says what could not be; empty when all was."""

    result: SubmissionResult
    pages: tuple[Path, ...]
    problem: str = ""


def jobs(
    course: Course, assignments: Sequence[str], students: Sequence[str] = ()
) -> tuple[list[Job], list[str]]:
    """What is to be graded, and a message for each thing in ``submitted/`` that cannot be.

    :raises UsageError: an assignment does not exist, or one of ``students`` has no submission to any of them.
    """
    found: list[Job] = []
    refused: list[str] = []
    for assignment in assignments:
        course.source_notebooks(assignment)  # a UsageError with the known names when there is none
        refused += course.refused(assignment)
        found += [Job(student, assignment, path) for student, path in course.submissions(assignment)]
    missing = sorted(set(students) - {job.student for job in found})
    if missing:
        raise UsageError(
            f"no submission by {', '.join(map(repr, missing))} to {', '.join(assignments)}; "
            f"submissions lie in {course.root / 'submitted'}/<student>/<assignment>/"
        )
    return [job for job in found if not students or job.student in students], refused


def is_current(course: Course, job: Job) -> bool:
    """Whether ``job`` was graded already and nothing that decides its score is newer.

    That is: its autograded notebooks are all there and newer than every file of the submission, the suite,
    the source, the course's settings and this package. Times are those of the file system.
    """
    folder = course.autograded_dir(job.student, job.assignment)
    done = [folder / path.name for path in course.source_notebooks(job.assignment)]
    try:
        oldest = min(path.stat().st_mtime_ns for path in done)
    except OSError:
        return False
    deciding = (
        job.path,
        course.suite_dir(job.assignment),
        course.source_dir(job.assignment),
        course.root / "pyproject.toml",
        course.root / "nbgrader_config.py",
    )
    if any(_newest(path) >= oldest for path in deciding):
        return False
    package = Path(__file__).resolve().parent
    return max(_newest(path) for path in package.rglob("*.py") if "suites" not in path.parts) < oldest


def _newest(path: Path) -> int:
    """Time of change of the newest file at or below ``path``, in ns; 0 when there is none."""
    newest = 0
    for file in (path, *path.rglob("*")) if path.is_dir() else (path,):
        if "__pycache__" not in file.parts:
            with suppress(OSError):
                newest = max(newest, file.lstat().st_mtime_ns)
    return newest


def grade(
    course: Course,
    todo: Sequence[Job],
    *,
    workers: int,
    limits: Limits,
    secret: bytes,
    device: str = "cpu",
    sandbox: bool = True,
    data: str = "auto",
    on_start: Callable[[], None] | None = None,
) -> Iterator[Graded]:
    """Grade ``todo``, store each result, and yield it; in the order in which they are done.

    A result that cannot be stored is yielded with its ``problem``: it never ends the batch.
    """
    if not todo:
        return
    with Recorder(course) as recorder:
        results = grade_submissions(
            course,
            todo,
            workers=workers,
            limits=limits,
            secret=secret,
            device=device,
            sandbox=sandbox,
            data=data,
        )
        if on_start is not None:
            on_start()
        for result in results:
            yield _store(course, recorder, result)


def _store(course: Course, recorder: Recorder, result: SubmissionResult) -> Graded:
    try:
        recorder.record(result)
        return Graded(result, tuple(_pages(course, result)))
    except AutograderError as error:
        return Graded(result, (), str(error))
    except OSError as error:
        return Graded(result, (), f"cannot write the feedback of {result.student}: {error}")


def _pages(course: Course, result: SubmissionResult) -> Iterable[Path]:
    now = datetime.now(UTC)
    for notebook in result.notebooks:
        page = course.feedback_dir(result.student, result.assignment) / f"{notebook.name}.html"
        # An engine error leaves the old scores standing, so the page that explains them stays too.
        if notebook.outcome is Outcome.ENGINE_ERROR and page.is_file():
            yield page
        else:
            yield feedback.write(course, notebook, student=result.student, timestamp=now)
