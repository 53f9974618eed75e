"""What judge processes are asked to do, and their answer when they cannot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.layout import Course
from autograder.limits import Limits
from autograder.models import NotebookResult, Outcome, SubmissionResult

__all__ = ["FileJob", "Job", "Setup", "lost"]


@dataclass(frozen=True, slots=True)
class Job:
    """One submission: ``path`` is its folder."""

    student: str
    assignment: str
    path: Path


@dataclass(frozen=True, slots=True)
class FileJob:
    """One notebook file outside any gradebook. ``seed`` is that of the hidden inputs, None the pool's;
    with ``only`` nothing but these tasks is judged; ``limits`` are used instead of the pool's."""

    assignment: str
    path: Path
    seed: int | None = None
    only: frozenset[str] | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """What a pool is for. ``until_failure``, ``measuring``: see :class:`autograder.judge.session.TaskRun`."""

    course: Course
    assignments: tuple[str, ...]
    limits: Limits
    device: str
    sandbox: bool
    secret: bytes
    execution: str = "autograde"
    data: str = "auto"
    until_failure: bool = False
    measuring: bool = False


def lost(job: Job | FileJob, why: str = "the judge process ended") -> Any:
    """The result of a submission that was not graded, and ``why``."""
    result = NotebookResult(
        assignment=job.assignment,
        name=job.path.stem,
        score=None,
        max_score=0.0,
        needs_manual_grade=False,
        outcome=Outcome.ENGINE_ERROR,
        tasks=(),
        message=f"This submission was not graded: {why}. Nothing was decided; grade it again.",
    )
    return SubmissionResult(job.assignment, job.student, (result,)) if isinstance(job, Job) else (job, result)
