"""The judge's side of the data service: what sandboxes may hold, written into sealed memory files."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from typing import Final

from autograder.datasets import Dataset, DataSets
from autograder.sandbox.served import SCALED, Stored

__all__ = ["fill", "memory_file", "reserve"]

_CHUNK_ROWS: Final = 4096


def reserve(data: DataSets) -> list[Stored]:
    """Memory files, of their final size and still empty, for what sandboxes may hold; the caller closes their
    descriptors."""
    made = []
    for name, dataset in sorted(data.sets.items()):
        made.append(_reserved(name, dataset, "int64" if name == "mnist" else "float64"))
        if name == "mnist":
            made.append(_reserved(SCALED, dataset, "float32"))
    return made


def _reserved(name: str, dataset: Dataset, dtype: str) -> Stored:
    item = Stored(name, dataset.kind, dataset.rows, memory_file(name), dtype)
    os.ftruncate(item.fd, item.size)
    return item


def fill(data: DataSets, reserved: Iterable[Stored]) -> None:
    """Write the rows and seal the files, before a sandbox is made."""
    import numpy as np

    for item in reserved:
        dataset = data.sets["mnist" if item.name == SCALED else item.name]
        rows, scaled = dataset.served_rows, item.name == SCALED
        inputs = dataset.scaled if scaled else dataset.as_fetched
        if scaled:  # OpenML's last 10,000 are by other writers: any part of these rows is like the others
            rows = np.random.default_rng(len(rows)).permutation(rows)
        with open(item.fd, "wb", closefd=False) as file:
            for start in range(0, len(rows), _CHUNK_ROWS):  # the whole of MNIST as int64 is 400 MB
                file.write(inputs(dataset.all_X[rows[start : start + _CHUNK_ROWS]]).tobytes())
            file.write(dataset.all_y[rows].astype(item.dtype).tobytes())
        _seal(item.fd)


def memory_file(name: str) -> int:
    """The descriptor of an empty file without a name."""
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
