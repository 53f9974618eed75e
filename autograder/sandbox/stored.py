"""The judge's side of the data service: what sandboxes may hold, written into sealed memory files."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Final

from autograder.datasets import DataSets
from autograder.sandbox.served import Stored

__all__ = ["store"]

_CHUNK_ROWS: Final = 4096


def store(data: DataSets) -> list[Stored]:
    """Write what sandboxes may hold into memory files; the caller closes their descriptors."""
    return [_store(data, name) for name in sorted(data.sets)]


def _store(data: DataSets, name: str) -> Stored:
    dataset = data.sets[name]
    rows = dataset.served_rows
    fd = _memory_file(name)
    with open(fd, "wb", closefd=False) as file:
        for start in range(0, len(rows), _CHUNK_ROWS):  # the whole of MNIST as int64 is 400 MB
            file.write(dataset.as_fetched(dataset.all_X[rows[start : start + _CHUNK_ROWS]]).tobytes())
        file.write(dataset.as_fetched(dataset.all_y[rows]).tobytes())
    _seal(fd)
    return Stored(name, dataset.kind, len(rows), fd)


def _memory_file(name: str) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    handle, path = tempfile.mkstemp()  # where there is no sandbox either
    os.unlink(path)
    return handle


def _seal(fd: int) -> None:
    """No sandbox can change what the others read."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
