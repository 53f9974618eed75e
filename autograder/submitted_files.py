"""The files of a submission beside its notebooks, read as carefully: no links, no pipes, no giants."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["EXCHANGE_FILES", "exchange_files", "instructor_files", "other_files", "read_small", "timestamp"]

EXCHANGE_FILES: Final = ("timestamp.txt", "submission_secret.txt")
"""What nbgrader's exchange adds to a submission: when it came, and what the name of its feedback hangs on."""

_OTHER_FILE_MB: Final = 16
_OTHER_FILES: Final = 200
"""More files than this, or larger ones, stay behind."""


def read_small(path: Path, most_bytes: int) -> bytes | None:
    """Bytes of an ordinary file of at most ``most_bytes``; None for anything else. No link is followed."""
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_BINARY", "O_CLOEXEC"):  # not all on all systems
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(most_bytes + 1)
        return data if len(data) <= most_bytes else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def exchange_files(folder: Path) -> dict[str, bytes]:
    """Those of :data:`EXCHANGE_FILES` that lie in ``folder``, with their bytes."""
    found = {name: read_small(folder / name, 1024) for name in EXCHANGE_FILES}
    return {name: data for name, data in found.items() if data is not None}


def timestamp(folder: Path) -> str:
    """What nbgrader's ``timestamp.txt`` in ``folder`` says; a student may have written it."""
    return (read_small(folder / "timestamp.txt", 200) or b"").decode("utf-8", "replace").strip()


def instructor_files(source: Path) -> Iterator[tuple[Path, bytes]]:
    """As :func:`other_files`, of the instructor's own folder: large and many files are taken too."""
    return other_files(source, file_mb=1 << 11, most=1 << 16)


def other_files(
    origin: Path, *, file_mb: int = _OTHER_FILE_MB, most: int = _OTHER_FILES
) -> Iterator[tuple[Path, bytes]]:
    """Relative path and bytes of each file below ``origin`` that is no notebook, in a fixed order.

    Hidden files, links and what is too large (over ``file_mb`` MiB, more than ``most`` files) are left out.
    """
    count = 0
    for folder, folders, names in os.walk(origin):
        folders[:] = sorted(
            name for name in folders if not name.startswith((".", "__pycache__")) and name[-6:] != ".ipynb"
        )
        for name in sorted(names):
            path = Path(folder) / name
            if name.startswith(".") or name.endswith((".ipynb", ".pyc")) or count >= most:
                continue
            data = read_small(path, file_mb * 2**20)
            if data is not None:
                count += 1
                yield path.relative_to(origin), data
