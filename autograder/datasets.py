"""The data sets of the course, on the trusted side: which is in use, what is served, what is kept back.

Notebooks call scikit-learn's own ``fetch_openml('mnist_784', …)`` and ``fetch_california_housing()``. A
sandbox has no network, so it is served rows from here (:mod:`autograder.sandbox.served`), and some rows of
each set are kept back: accuracies are measured on digits and houses that no sandbox ever held.

California housing is carried whole by the package. Of MNIST it carries 5,000 real digits (kind ``"sample"``);
the full 70,000 (kind ``"full"``) are used where scikit-learn's data home has them. ``samples/README.md`` says
where both come from.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from autograder.errors import SuiteError, UsageError

__all__ = [
    "CHOICES",
    "NAMES",
    "SAMPLES",
    "DataSets",
    "Dataset",
    "Kind",
    "data_home",
    "describe",
    "fingerprint",
    "kind_of",
    "load",
    "load_all",
    "wanted",
]

Kind = Literal["sample", "full"]
NAMES: Final = ("california", "mnist")
CHOICES: Final = ("auto", "sample", "full")
"""``auto`` takes the full set where this machine has it."""

_CALLS: Final = {"california": rb"fetch_california_housing", "mnist": rb"mnist_784"}
_PIXEL_MEAN: Final = 0.1307
_PIXEL_STD: Final = 0.3081
"""Of all pixels of MNIST, after division by 255."""
_HELD_BACK: Final = {("mnist", "sample"): 1000, ("mnist", "full"): 5000, ("california", "full"): 3000}
SAMPLES: Final = Path(__file__).resolve().parent / "samples"
"""The data that the package carries; sandboxes must not see this folder."""


@dataclass(frozen=True)
class Dataset:
    """One data set: all its rows, of which some are kept back from sandboxes.

    ``all_X``: (rows, features) uint8 for MNIST (0 to 255), float64 for California housing (scikit-learn's
    eight features); ``all_y``: (rows,) uint8 classes, or float64 values in units of 100,000 dollars.
    """

    name: str
    kind: Kind
    origin: str
    all_X: Any
    all_y: Any

    @cached_property
    def _kept_back(self) -> Any:
        import numpy as np

        rows = len(self.all_y)
        mask = np.zeros(rows, dtype=bool)
        generator = np.random.default_rng([rows, len(self.name)])
        mask[generator.permutation(rows)[: _HELD_BACK[self.name, self.kind]]] = True
        return mask

    @cached_property
    def served_rows(self) -> Any:
        """(rows,) int64: the numbers of the rows that sandboxes may hold."""
        import numpy as np

        return np.flatnonzero(~self._kept_back)

    @property
    def rows(self) -> int:
        """How many rows a sandbox is served."""
        return len(self.served_rows)

    @cached_property
    def X(self) -> Any:
        """The inputs kept back: (M, 784) int64, or (M, 8) float64."""
        return self.as_fetched(self.all_X[self._kept_back])

    @cached_property
    def y(self) -> Any:
        """The targets kept back: (M,) int64 classes, or float64 values in 100,000 dollars."""
        return self.as_fetched(self.all_y[self._kept_back])

    @cached_property
    def scaled_X(self) -> Any:
        """:attr:`X` of MNIST, (M, 784), as :meth:`scaled` makes it."""
        return self.scaled(self.X)

    def scaled(self, pixels: Any) -> Any:
        """Pixels of MNIST, 0 to 255, as float32: over all digits mean 0 and standard deviation 1."""
        import numpy as np

        return ((pixels / 255 - _PIXEL_MEAN) / _PIXEL_STD).astype(np.float32)

    def as_fetched(self, values: Any) -> Any:
        """``values`` in the type that scikit-learn's fetcher gives."""
        return values.astype("int64" if self.name == "mnist" else "float64")


@dataclass(frozen=True)
class DataSets:
    """The data sets of one run: what the fixture ``data`` gives to checks."""

    sets: Mapping[str, Dataset] = field(default_factory=dict)

    @property
    def mnist(self) -> Dataset:
        """Handwritten digits, 784 pixels each."""
        return self._get("mnist")

    @property
    def california(self) -> Dataset:
        """House values of Californian census blocks."""
        return self._get("california")

    def _get(self, name: str) -> Dataset:
        if name not in self.sets:
            raise SuiteError(
                f"the data set {name} is not loaded: no source notebook of the assignment calls its fetcher"
            )
        return self.sets[name]


def wanted(notebooks: Iterable[bytes]) -> tuple[str, ...]:
    """The data sets that these notebook files ask for, sorted."""
    files = list(notebooks)
    return tuple(name for name in NAMES if any(re.search(_CALLS[name], data) for data in files))


def load_all(names: Iterable[str], choice: str = "auto") -> DataSets:
    """The named data sets; see :func:`load`."""
    return DataSets({name: load(name, choice) for name in names})


def kind_of(name: str, choice: str = "auto") -> Kind:
    """Which kind :func:`load` would give, without loading."""
    if name != "mnist":
        return "full"
    if choice == "auto":
        return "full" if _openml_cache() is not None else "sample"
    if choice not in CHOICES:
        raise UsageError(f"data is one of {', '.join(CHOICES)}, not {choice!r}")
    return "full" if choice == "full" else "sample"


def fingerprint(name: str, choice: str = "auto") -> str:
    """The kind of set that :func:`load` would give and a digest of its file; nothing is loaded.

    The full MNIST's file, 15 MB that only OpenML writes, is known by its size.
    """
    kind = kind_of(name, choice)
    if (name, kind) == ("mnist", "full"):
        source = _openml_cache()
        return f"full {source.stat().st_size if source is not None else 'missing'}"
    stored = SAMPLES / {"mnist": "mnist_5000.npz", "california": "california_housing.npz"}[name]
    return f"{kind} {hashlib.sha256(stored.read_bytes()).hexdigest()[:20]}"


def describe(name: str, choice: str = "auto") -> str:
    """One line for people: which set is in use, and how much of it notebooks get."""
    kind = kind_of(name, choice)
    kept = _HELD_BACK[name, kind]
    total = {"mnist": 5_000 if kind == "sample" else 70_000, "california": 20_640}[name]
    what = {
        ("mnist", "sample"): "MNIST: a sample of 5,000 of its 70,000 digits",
        ("mnist", "full"): "MNIST: the full set, 70,000 digits",
        ("california", "full"): "California housing: the full set, 20,640 blocks",
    }[name, kind]
    return f"{what}; notebooks get {total - kept:,}, hidden checks keep {kept:,}"


def load(name: str, choice: str = "auto") -> Dataset:
    """Load one data set, ``"mnist"`` or ``"california"``; ``choice`` is one of :data:`CHOICES`.

    :raises UsageError: the full MNIST is asked for and not here; the message says how to get it.
    """
    import numpy as np

    if name == "california":
        with np.load(SAMPLES / "california_housing.npz") as stored:
            X, y = _features(stored["columns"]), stored["target"] / 100_000.0
        return Dataset(name, "full", "shipped with the package", X, y)
    if kind_of(name, choice) == "sample":
        with np.load(SAMPLES / "mnist_5000.npz") as stored:
            return Dataset(name, "sample", "shipped with the package", stored["X"], stored["y"])
    home = data_home()
    if _openml_cache() is None:
        raise UsageError(
            f"the full MNIST is not in {home}. Run 'autograder data --fetch' once with a network, or name a "
            "folder that has it in SCIKIT_LEARN_DATA, or leave out --data full to use the shipped sample"
        )
    X, y = _full_mnist()
    return Dataset(name, "full", f"from {home}", X, y)


def _features(columns: Any) -> Any:
    """Scikit-learn's eight features from the census columns: totals become averages per household.

    Same operations in the same order as ``fetch_california_housing``: the values are equal bit by bit.
    """
    X = columns.copy()
    X[:, 2] /= X[:, 5]
    X[:, 3] /= X[:, 5]
    X[:, 5] = X[:, 4] / X[:, 5]
    return X


# -- the full MNIST, from scikit-learn's cache


def data_home() -> Path:
    """Scikit-learn's data home, where full sets are looked for; not created here."""
    return Path(os.environ.get("SCIKIT_LEARN_DATA") or Path("~/scikit_learn_data")).expanduser()


def _openml_cache() -> Path | None:
    """OpenML's file 52667, mnist_784, in scikit-learn's cache; None where it is not complete."""
    base = data_home() / "openml" / "openml.org"
    described = base / "api" / "v1" / "json" / "data" / "554.gz"
    for name in ("mnist_784.arff.gz", "mnist_784.gz"):
        data = base / "data" / "v1" / "download" / "52667" / name
        if data.is_file() and described.is_file():
            return data
    data = base / "data" / "v1" / "download" / "52667.gz"
    return data if data.is_file() and described.is_file() else None


def _full_mnist() -> tuple[Any, Any]:
    """(70000, 784) and (70000,) uint8. OpenML's file costs seconds and a gigabyte, so a copy is kept."""
    import numpy as np

    source = _openml_cache()
    assert source is not None
    state = source.stat()
    key = hashlib.sha256(f"{source} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:16]
    cache = _cache_folder() / f"mnist_784-{key}.npy"
    with contextlib.suppress(OSError, ValueError):
        table = np.load(cache, mmap_mode="r", allow_pickle=False)
        if table.dtype == np.uint8 and table.ndim == 2 and table.shape[1] == 785:
            return table[:, :784], table[:, 784]
    X, y = _read_openml()
    table = np.concatenate([X.astype(np.uint8), y.astype(np.uint8)[:, None]], axis=1)
    with contextlib.suppress(OSError):  # no room for the copy: it is read again next time
        _write(cache, table)
    return table[:, :784], table[:, 784]


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "nn-autograder" / "data"


def _write(path: Path, table: Any) -> None:
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npy")
    try:
        with open(handle, "wb") as file:
            np.save(file, table, allow_pickle=False)
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C too: no half file stays behind, and the error goes on
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    for old in path.parent.glob("mnist_784-*.npy"):
        if old != path:
            with contextlib.suppress(OSError):
                old.unlink()


def _read_openml() -> tuple[Any, Any]:
    """Through scikit-learn, from links to the cached files: it deletes what it fails to read."""
    from sklearn.datasets import fetch_openml

    home = data_home()
    with tempfile.TemporaryDirectory() as folder:
        for path in (home / "openml").rglob("*.gz"):
            link = Path(folder) / path.relative_to(home)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
        try:
            bunch = fetch_openml("mnist_784", version=1, as_frame=False, data_home=folder, n_retries=1)
        except Exception as error:  # pandas, memory, network: whatever it was, the cure is the same
            raise UsageError(
                f"the full MNIST in {home} cannot be read ({type(error).__name__}: {error}). Delete the "
                "folder 'openml' there and run 'autograder data --fetch', or use --data sample"
            ) from error
    return bunch.data, bunch.target
