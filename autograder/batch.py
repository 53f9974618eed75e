"""Grade submissions and put the results where they belong: gradebook, ``autograded/``, ``feedback/``.

:func:`grade` is the loop behind ``autograder grade`` and ``autograder demo``. Results are stored as they
come, each with all its files and rows or not at all, so a stopped or killed run keeps what it had, and
:func:`pending` tells the next one what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from autograder import feedback, ledger
from autograder.errors import GradebookError, StorageError, UsageError
from autograder.gradebook import Recorder
from autograder.keys import Conditions, Keys, notebooks_part
from autograder.layout import Course
from autograder.limits import Limits
from autograder.models import Outcome, SubmissionResult
from autograder.schedule import Job, device_of, grade_submissions
from autograder.stages import Stages
from autograder.writing import clean_up, one_writer

__all__ = ["Graded", "Runner", "grade", "jobs", "pending"]


@dataclass(frozen=True, slots=True)
class Graded:
    """A submission after its results were stored. ``problem`` says what could not be; empty when all was.

    ``key`` is what it was graded with, in parts: see :mod:`autograder.keys`. ``stage_s`` are the seconds of
    storing by stage; those of grading are in the result.
    """

    result: SubmissionResult
    pages: tuple[Path, ...]
    key: Mapping[str, str]
    problem: str = ""
    stage_s: Mapping[str, float] = field(default_factory=dict)


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


def pending(course: Course, todo: Iterable[Job], conditions: Conditions) -> list[Job]:
    """Those of ``todo`` that have no score yet from the same content (see :mod:`autograder.keys`)."""
    todo = list(todo)
    keys = Keys(course, conditions)
    known = ledger.entries(course, sorted({job.assignment for job in todo}))
    missing = []
    for job in todo:
        entry = known.get((job.student, job.assignment))
        if entry is None or not ledger.holds(course, entry, keys.of(job.assignment, job.path)):
            missing.append(job)
    return missing


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

    A result that cannot be stored is yielded with its ``problem``: it does not end the batch.

    :raises StorageError: no result can be stored; this one does end it.
    :raises GradebookError: another process is writing scores.
    """
    if not todo:
        clean_up(course)
        return
    runner = Runner(course, Conditions(limits, secret, device_of(device), sandbox, data), todo)
    try:
        yield from runner.store(runner.results(workers), on_start)
    finally:
        runner.close()


class Runner:
    """Grades ``todo`` under ``conditions``, and stores; the two may be hours apart."""

    def __init__(self, course: Course, conditions: Conditions, todo: Sequence[Job]) -> None:
        self.course, self.conditions, self.todo = course, conditions, todo
        self._keys = Keys(course, conditions)
        # Read before the judge reads the same files, and compared once it has.
        self._before = {name: self._keys.shared(name) for name in sorted({job.assignment for job in todo})}
        self._stable: bool | None = None
        self._running: Iterator[SubmissionResult] | None = None

    def results(self, workers: int) -> Iterator[SubmissionResult]:
        """Grade; nothing is stored. The judges start at once: they import, as the caller does meanwhile."""
        conditions = self.conditions
        self._running = grade_submissions(
            self.course,
            self.todo,
            workers=workers,
            limits=conditions.limits,
            secret=conditions.secret,
            device=conditions.device,
            sandbox=conditions.sandbox,
            data=conditions.data,
        )
        return self._watched(self._running)

    def close(self) -> None:
        """End the judges, where they have not come to their end."""
        close = getattr(self._running, "close", None)
        if close is not None:
            close()

    def _watched(self, results: Iterable[SubmissionResult]) -> Iterator[SubmissionResult]:
        for result in results:
            if self._stable is None:
                self._stable = all(self._keys.shared(name) == was for name, was in self._before.items())
            yield result

    def key(self, result: SubmissionResult) -> dict[str, str]:
        """What ``result`` was made from: the bytes that were graded, whatever lies there by now."""
        folder = self.course.submitted(result.student, result.assignment)
        parts = self._keys.of(result.assignment, folder) | self._before[result.assignment]
        parts["notebook"] = notebooks_part(
            {
                notebook.name: notebook.notebook_sha256 or f"unreadable: {notebook.message}"
                for notebook in result.notebooks
            }
        )
        if self._stable is False:
            parts["engine"] = "changed while it was grading"  # which of the two it was, nobody knows
        return parts

    def store(
        self, results: Iterable[SubmissionResult], on_start: Callable[[], None] | None = None
    ) -> Iterator[Graded]:
        """Store ``results`` as they come."""
        course = self.course
        with one_writer(course), Recorder(course) as recorder:
            if on_start is not None:
                on_start()
            for result in results:
                yield self._store(recorder, result)

    def _store(self, recorder: Recorder, result: SubmissionResult) -> Graded:
        stages = recorder.stages = Stages()
        with stages("content key"):
            key = self.key(result)
        try:
            with stages("feedback"):
                pages = dict(self._pages(result))
            recorder.record(result, pages=pages, key=key)
        except StorageError:
            raise
        except GradebookError as error:
            return Graded(result, (), key, str(error), stages.seconds)
        folder = self.course.feedback_dir(result.student, result.assignment)
        places = tuple(folder / f"{item.name}.html" for item in result.notebooks)
        return Graded(result, places, key, stage_s=stages.seconds)

    def _pages(self, result: SubmissionResult) -> Iterator[tuple[str, str]]:
        """Feedback by the notebook's name."""
        now = datetime.now(UTC)
        folder = self.course.feedback_dir(result.student, result.assignment)
        for notebook in result.notebooks:
            # An engine error leaves the old scores standing, so the page that explains them stays too.
            if notebook.outcome is Outcome.ENGINE_ERROR and (folder / f"{notebook.name}.html").is_file():
                continue
            yield notebook.name, feedback.render(notebook, student=result.student, timestamp=now)
