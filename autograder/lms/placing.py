"""A submission in its place: whole, never over another one that might be newer, and nothing thrown away.

A folder is written beside its place under a hidden name and renamed. What it replaces is moved to
``downloaded/<assignment>/replaced/<student>/<time>/`` first.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath

from autograder.layout import Course
from autograder.lms import times
from autograder.lms.record import Collected
from autograder.release_files import replace_file
from autograder.submitted_files import read_small, timestamp

__all__ = ["State", "Submission", "place", "set_time", "state_of"]


class State(StrEnum):
    """What an archive's submission is to the one that is there."""

    NEW = "new"
    SAME = "same"
    NEWER = "newer"
    OLDER = "older"
    UNCLEAR = "differs"


@dataclass(frozen=True, slots=True)
class Submission:
    """What is to lie in ``submitted/<student>/<assignment>/``."""

    student: str
    assignment: str
    files: Mapping[PurePosixPath, bytes]
    time: datetime | None = None
    version: tuple[int, ...] = ()


def state_of(course: Course, submission: Submission, before: Collected | None) -> State:
    """Compare with what is there; ``before`` is what was collected for this student last."""
    folder = course.submitted(submission.student, submission.assignment)
    if not folder.is_dir() or folder.is_symlink():
        return State.NEW
    if _content(folder, submission.files) == {str(path): data for path, data in submission.files.items()}:
        return State.SAME
    there = times.parse(timestamp(folder), UTC)
    if there and submission.time and there != submission.time:
        return State.NEWER if submission.time > there else State.OLDER
    if before and before.version and submission.version and before.version != submission.version:
        return State.NEWER if submission.version > before.version else State.OLDER
    return State.UNCLEAR


def place(course: Course, submission: Submission) -> Path | None:
    """Put it there. Gives the folder where the one that lay there is now; None when there was none.

    :raises OSError: it cannot be written; the old one is where it was.
    """
    target = course.submitted(submission.student, submission.assignment)
    draft = target.with_name(f".{submission.assignment}.{os.getpid()}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(
        f".{submission.assignment}.*.part"
    ):  # by a killed run: one collects at a time
        shutil.rmtree(left, ignore_errors=True)
    try:
        draft.mkdir()
        for path, data in submission.files.items():
            file = draft / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        if submission.time:
            (draft / "timestamp.txt").write_text(times.stamp(submission.time) + "\n", encoding="utf-8")
        kept = _move_away(course, submission, target) if target.exists() or target.is_symlink() else None
        try:
            os.rename(draft, target)
        except OSError:
            if kept is not None:
                os.rename(kept, target)
            raise
        return kept
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        with contextlib.suppress(OSError):
            target.parent.rmdir()  # only when nothing is in it


def set_time(course: Course, submission: Submission) -> bool:
    """Note a time that became known, of a submission whose content is the same; whether that changed it."""
    folder = course.submitted(submission.student, submission.assignment)
    if submission.time is None or times.parse(timestamp(folder), UTC) == submission.time:
        return False
    replace_file(folder / "timestamp.txt", (times.stamp(submission.time) + "\n").encode())
    return True


def _move_away(course: Course, submission: Submission, target: Path) -> Path:
    folder = course.replaced_dir(submission.student, submission.assignment)
    folder.mkdir(parents=True, exist_ok=True)
    name = datetime.now(UTC).strftime("%Y-%m-%d_%H%M%S")
    kept, number = folder / name, 2
    while kept.exists() or kept.is_symlink():
        kept, number = folder / f"{name}-{number}", number + 1
    os.rename(target, kept)
    return kept


def _content(folder: Path, wanted: Mapping[PurePosixPath, bytes]) -> dict[str, bytes | None]:
    """What lies in ``folder``, by path; None for what is larger than it should be or should not be there."""
    found: dict[str, bytes | None] = {}
    for path in _files(folder):
        data = wanted.get(PurePosixPath(path.relative_to(folder)))
        there = None if data is None else read_small(path, len(data))
        found[path.relative_to(folder).as_posix()] = there
    return found


def _files(folder: Path) -> Iterator[Path]:
    """All but hidden ones and nbgrader's timestamp."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        for name in sorted(names):
            path = Path(root) / name
            if not name.startswith(".") and path != folder / "timestamp.txt":
                yield path
