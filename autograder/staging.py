"""Files that appear together: written beside their places under hidden names, then renamed.

A reader sees an old file or a new one, never half of one. What a killed run left behind has names that only
this module gives, and :func:`sweep` removes it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from autograder.errors import GradebookError, StorageError

__all__ = ["Staging", "storage_error", "sweep"]

_DRAFT: Final = re.compile(r"\.[0-9a-f]{16}\.\d+\.tmp|\.[a-z0-9_]{8}\.part|secret\.\d+\.[0-9a-f]{8}")
"""Names of drafts: of this module, of :func:`autograder.feedback.write_page`, of the course's secret."""


class Staging:
    """Drafts of some files. :meth:`publish` puts them in their places, in the order in which they came."""

    def __init__(self) -> None:
        self._drafts: dict[Path, Path] = {}
        self._made: list[Path] = []

    def add(self, place: Path, data: bytes, *, mode: int = 0o444, durable: bool = False) -> None:
        """Write ``data`` beside ``place``; ``durable``: on the disk, not in a buffer, when this returns.

        :raises OSError: it cannot be written, or could not be renamed later.
        """
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
        self._make(place.parent)
        name = hashlib.sha256(place.name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        draft = place.with_name(f".{name}.{os.getpid()}.tmp")
        self._drafts[place] = draft
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())

    def _make(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            self._made.append(path)

    def publish(self) -> None:
        """Rename every draft to its place."""
        for place, draft in list(self._drafts.items()):
            os.replace(draft, place)
            del self._drafts[place]
        self._made.clear()

    def discard(self) -> None:
        """Remove what was not published, and the folders made for it."""
        for draft in self._drafts.values():
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        self._drafts.clear()
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        self._made.clear()


def sweep(folders: Iterable[Path]) -> int:
    """Remove the drafts in ``folders`` that killed runs left; only the one writer may. Gives their number."""
    count = 0
    for folder in folders:
        for draft in _drafts(folder):
            with contextlib.suppress(OSError):
                draft.unlink()
                count += 1
    return count


def _drafts(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in list(entries):
                if _DRAFT.fullmatch(entry.name):
                    yield Path(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    yield from _drafts(Path(entry.path))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return


_CURES: Final = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room, or ask for a larger quota",
    errno.EROFS: "mount it for writing",
}


def storage_error(error: OSError, folder: Path) -> GradebookError:
    """What ``error`` means for an instructor; a StorageError where no other file could be written either."""
    reason = error.strerror or type(error).__name__
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        place = error.filename or folder
        return GradebookError(f"cannot write to {folder} ({reason}); move {place} away, then grade again")
    cure = _CURES.get(error.errno or 0)
    if cure is not None:
        return StorageError(f"cannot write to {folder} ({reason}); {cure}, then run the same command again")
    return GradebookError(f"cannot write to {folder} ({reason}); give write access, then grade again")
