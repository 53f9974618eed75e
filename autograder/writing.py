"""One writer: who may change scores, autograded notebooks and feedback of a course.

A lock of the kernel's on a file in ``.autograder/``: it ends with the process that holds it, however that
ends, so a killed run never has to be unlocked by hand. The file holds a name while a run lasts: one that
finds it taken by nobody knows that a run was killed, and removes the drafts that it left.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autograder.errors import GradebookError, StorageError
from autograder.layout import Course
from autograder.staging import sweep

__all__ = ["clean_up", "one_writer"]

try:
    import fcntl
except ImportError:  # Windows, where only checks of single files are supported
    fcntl = None  # type: ignore[assignment]


@contextmanager
def one_writer(course: Course) -> Iterator[None]:
    """Be the only one who writes scores of ``course``.

    :raises GradebookError: another process is; it is named, and not waited for.
    :raises StorageError: the lock cannot be made.
    """
    path = _lock_file(course)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise StorageError(
            f"cannot make {path} ({error.strerror}); grading writes to {course.root}: make room or give "
            "write access there, then run the same command again"
        ) from error
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
                raise GradebookError(
                    f"another autograder is writing scores of {course.root} ({holder or 'just started'}); "
                    "wait until it has ended, then run the same command again"
                ) from None
            except OSError:
                pass  # a network file system without locks: SQLite's own have to do
        if os.fstat(descriptor).st_size:
            sweep([course.root / "autograded", course.root / "feedback", course.state_dir])
        with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} since {time.strftime('%H:%M:%S')}\n".encode(), 0)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def clean_up(course: Course) -> None:
    """Remove what a killed run left, where there was one; nothing where another process is writing."""
    with contextlib.suppress(OSError, GradebookError):
        if _lock_file(course).stat().st_size:
            with one_writer(course):
                pass


def _lock_file(course: Course) -> Path:
    return course.state_dir / "writer"
