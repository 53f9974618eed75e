"""load_housing and prepare: rows in the right types, divided and standardised without a leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from autograder import points
from autograder.checks import (
    assert_close,
    assert_finite,
    assert_keys,
    assert_length,
    assert_shape,
    assert_type,
    assert_unchanged,
    fail,
)

SLIDE = "01.10 Regression"

# ---------------------------------------------------------------- load_housing


def load(student: Any, draw: Any, n: int) -> tuple[Any, Any, Any, Any]:
    """X, y as returned, and what the fetcher had: data (N, 8), target (N,) float64."""
    data, target = draw.arrays(n=n).of("n 8", "n")
    data = data * np.array([2.0, 12.0, 2.5, 0.5, 1100.0, 10.0, 2.0, 2.0]) + 30.0
    target = np.abs(target) + 0.15
    called = f"load_housing(fetch) with a fetcher of {n} houses"
    seen = student.probe("loaded", student.load_housing, data, target, called=called)
    if type(seen) is not dict or not seen.get("calls"):
        fail(
            "load_housing did not call the fetcher that it was given.",
            "ignores_fetch",
            called=called,
            expected="fetch()",
            slide=SLIDE,
        )
    value = seen.get("value")
    name = "load_housing(fetch)"
    assert_type(value, (tuple, list), name=name, slide=SLIDE, expected="the pair X, y", hint="return X, y")
    assert_length(value, 2, name=name, slide=SLIDE, expected="the pair X, y")
    X, y = value
    for part, what in ((X, "X"), (y, "y")):
        if type(part) is torch.Tensor:
            fail(f"{what} is a tensor.", "tensors_returned", called=called, slide=SLIDE)
        assert_type(part, np.ndarray, name=what, slide=SLIDE)
    if n > 1 and X.shape in ((n,), (n, 1)) and y.shape == (n, 8):
        fail("load_housing returned y, X.", "swapped", called=called, slide=SLIDE)
    return X, y, data, target


def check_dtype(part: Any, what: str, called: str) -> None:
    if part.dtype != np.float32:
        known = "float64_left" if part.dtype == np.float64 else None
        fail(
            f"{what} has dtype {part.dtype}, not float32.",
            known,
            called=called,
            expected="dtype float32",
            got=f"dtype {part.dtype}",
            slide=SLIDE,
        )


@points("load_housing", 1)
def test_load_housing_features(student, draw):
    for n in (13, 1, 40):
        X, _, data, _ = load(student, draw, n)
        called = f"load_housing(fetch) with a fetcher of {n} houses"
        if n > 1 and X.shape == (8, n):
            fail("X is (8, N).", "transposed", called=called, slide=SLIDE)
        assert_shape(X, (n, 8), name="X", slide=SLIDE, hint="One row per block of houses, eight features.")
        if n > 1 and np.abs(X.mean(axis=0)).max() < 1e-3 and not np.allclose(X, data, rtol=1e-4):
            fail("The features are standardised already.", "scaled_too_early", called=called, slide=SLIDE)
        assert_close(
            X.astype(np.float64),
            data,
            rtol=1e-5,
            name="X",
            slide=SLIDE,
            hint="The values as they come from fetch().data, in the same order.",
        )
        check_dtype(X, "X", called)


@points("load_housing", 1)
def test_load_housing_prices(student, draw):
    for n in (13, 1, 40):
        _, y, _, target = load(student, draw, n)
        called = f"load_housing(fetch) with a fetcher of {n} houses"
        got = {"got": f"shape {y.shape}", "called": called, "slide": SLIDE}
        if y.shape == (n,):
            fail("y has shape (N,).", "flat_target", expected=f"shape ({n}, 1)", **got)
        if n > 1 and y.shape == (1, n):
            fail("y is a row.", "row_target", expected=f"shape ({n}, 1)", **got)
        assert_shape(y, (n, 1), name="y", slide=SLIDE)
        assert_close(
            y.astype(np.float64), target[:, None], rtol=1e-5, name="y", slide=SLIDE, hint="fetch().target"
        )
        check_dtype(y, "y", called)


# ---------------------------------------------------------------- prepare

NAMES = ("train", "val", "test")
KEYS = tuple(f"{part}_{name}" for name in NAMES for part in "Xy")


class Prepared:
    """What ``prepare`` returned, and which rows (told by their y, all different) each set holds."""

    def __init__(self, student: Any, X: Any, y: Any, seed: int) -> None:
        self.called = f"prepare(X {X.shape}, y {y.shape}, seed={seed})"
        value = student.prepare(X, y, seed)
        self.X_raw, self.y_raw = X.astype(np.float64), y[:, 0].astype(np.float64)
        assert_keys(value, (*KEYS, "mu", "sigma"), name="the result of prepare", slide=SLIDE)
        self.X: dict[str, Any] = {}
        self.y: dict[str, Any] = {}
        self.rows: dict[str, Any] = {}
        for name in NAMES:
            for kind, width in (("X", X.shape[1]), ("y", 1)):
                part, key = value[f"{kind}_{name}"], f"{kind}_{name}"
                if type(part) is torch.Tensor:
                    self.fail(f"{key} is a tensor.", "tensors_returned")
                assert_type(part, np.ndarray, name=key, slide=SLIDE)
                if kind == "y" and part.ndim == 1:
                    self.fail(f"{key} has shape {part.shape}.", "flat_target", expected="shape (n, 1)")
                assert_shape(part, (None, width), name=key, slide=SLIDE)
                (self.X if kind == "X" else self.y)[name] = part
            if len(self.X[name]) != len(self.y[name]):
                self.fail(f"X_{name} has {len(self.X[name])} rows, y_{name} {len(self.y[name])}.")
        self.mu, self.sigma = value["mu"], value["sigma"]
        self.find_rows()

    def fail(self, summary: str, mistake: str | None = None, **parts: Any) -> None:
        fail(summary, mistake, called=self.called, slide=SLIDE, **parts)

    def find_rows(self) -> None:
        together = np.concatenate([part[:, 0] for part in self.y.values()]).astype(np.float64)
        order = np.argsort(self.y_raw)
        for name, part in self.y.items():
            at = np.searchsorted(self.y_raw[order], part[:, 0].astype(np.float64))
            near = [np.clip(at + step, 0, len(order) - 1) for step in (-1, 0)]
            gaps = np.stack([np.abs(self.y_raw[order][k] - part[:, 0]) for k in near])
            best = np.choose(gaps.argmin(axis=0), near)
            # nan compares as False: not (… <= …) catches it too.
            if len(part) and not gaps.min(axis=0).max() <= 1e-4:
                finite = bool(np.isfinite(together).all())
                smooth = finite and abs(np.median(together)) < 4 < np.median(self.y_raw)
                self.fail(
                    f"y_{name} holds values that y does not have.",
                    "scales_y" if smooth else None,
                    expected="the values of y, in their own unit",
                    got=f"values from {part.min():.3g} to {part.max():.3g}; "
                    f"y goes from {self.y_raw.min():.3g} to {self.y_raw.max():.3g}",
                )
            self.rows[name] = order[best]

    @property
    def sizes(self) -> list[int]:
        return [len(self.y[name]) for name in NAMES]


# Scales as of real features, three powers of ten apart; heavy tails: every set has statistics of its own.
SCALES = np.array([2.0, 12.0, 2.5, 0.5, 1100.0, 10.0, 0.02, 130.0])
SHIFTS = np.array([4.0, 28.0, 5.0, 1.0, 1400.0, 3.0, 0.35, -120.0])


def houses(draw: Any, n: int) -> tuple[Any, Any]:
    """X (n, 8), y (n, 1) float32; the y are all different, between 5 and 9."""
    X = draw.arrays(n=n).of("n 8")
    X = np.sign(X) * np.abs(X) ** 1.7 * SCALES + SHIFTS
    y = 5 + 4 * (draw.permutation(n).numpy() + 0.5) / n
    return X.astype(np.float32), y.astype(np.float32)[:, None]


@points("prepare", 1)
def test_prepare_split(student, draw):
    for n in (200, 1000, 103):
        X, y = houses(draw, n)
        made = Prepared(student, X, y, draw.seed % 1000)
        wanted = [0.7 * n, 0.15 * n, 0.15 * n]
        words = {
            "expected": f"about {[round(size) for size in wanted]} rows in train, val and test",
            "got": f"{made.sizes} rows",
        }
        rows = np.concatenate([made.rows[name] for name in NAMES])
        if sum(made.sizes) < n - 2:
            made.fail(f"{n - sum(made.sizes)} rows are in no set.", "rows_lost", **words)
        if len(np.unique(rows)) < len(rows):
            made.fail("Rows are in more than one set, or twice in one.", "sets_overlap", **words)
        if any(abs(size - want) > 2.01 for size, want in zip(made.sizes, wanted, strict=True)):
            known = (
                "other_fractions"
                if sorted(made.sizes) != sorted(round(w) for w in wanted)
                else "sets_swapped"
            )
            made.fail("The sets have other sizes.", known, **words)
        if sum(made.sizes) != n:
            made.fail(f"{n - sum(made.sizes)} rows are in no set.", "rows_lost", **words)
        check_pairs(made)
        assert_unchanged(student.last, slide=SLIDE, mistake="changes_arguments")


def check_pairs(made: Prepared) -> None:
    """Each row of X still stands beside its y: scaling a column keeps the order of its values."""
    for name in NAMES:
        ours, raw = made.X[name].astype(np.float64), made.X_raw[made.rows[name]]
        if len(ours) and np.abs(ours.mean(axis=1)).max() < 1e-3 and np.abs(ours.std(axis=1) - 1).max() < 0.1:
            made.fail(f"Each row of X_{name} has mean 0 and deviation 1.", "row_wise")
        with np.errstate(all="ignore"):
            fits = [np.corrcoef(ours[:, j], raw[:, j])[0, 1] for j in range(raw.shape[1])]
        if np.isfinite(fits).all() and np.median(np.abs(fits)) < 0.6:
            made.fail(
                f"The rows of X_{name} and y_{name} do not belong together.",
                "shuffled_apart",
                expected="row n of X beside row n of y, in every set",
            )


@points("prepare", 1.5)
def test_prepare_standardises_by_train(student, draw):
    for n in (240, 90):
        X, y = houses(draw, n)
        made = Prepared(student, X, y, draw.seed % 1000)
        train = made.X_raw[made.rows["train"]]
        for name in NAMES:
            check_scale(made, name, train)
            check_dtypes(made, name)
        for key, value, right in (
            ("mu", made.mu, [train.mean(axis=0)]),
            ("sigma", made.sigma, [train.std(axis=0), train.std(axis=0, ddof=1)]),
        ):
            assert_type(value, (np.ndarray, torch.Tensor), name=key, slide=SLIDE, expected="an array (8,)")
            if tuple(value.shape) not in ((8,), (1, 8)):
                known = "global_mean" if tuple(value.shape) in ((), (1,)) else None
                got = f"shape {tuple(value.shape)}"
                made.fail(f"{key} has another shape.", known, expected="shape (8,)", got=got)
            assert_finite(value, name=key, slide=SLIDE)
            ours = np.asarray(value, dtype=np.float64).reshape(8)
            if not any(np.allclose(ours, r, rtol=2e-3, atol=2e-3 * train.std(axis=0)) for r in right):
                square = np.allclose(ours, train.var(axis=0), rtol=2e-2)
                made.fail(
                    f"{key} is not that of the columns of the training rows.",
                    "variance" if key == "sigma" and square else None,
                    expected=f"{key} of each column of the raw training rows, shape (8,)",
                )


def check_dtypes(made: Prepared, name: str) -> None:
    for kind, part in (("X", made.X[name]), ("y", made.y[name])):
        if part.dtype != np.float32:
            known = "float64_left" if part.dtype == np.float64 else None
            made.fail(
                f"{kind}_{name} has dtype {part.dtype}.", known, expected="float32", got=str(part.dtype)
            )


def standard(values: Any, by: Any, ddof: int = 0) -> Any:
    return (values - by.mean(axis=0)) / by.std(axis=0, ddof=ddof)


def check_scale(made: Prepared, name: str, train: Any) -> None:
    raw = made.X_raw[made.rows[name]]
    got = made.X[name].astype(np.float64)
    assert_finite(made.X[name], name=f"X_{name}", slide=SLIDE)

    def same(right: Any) -> bool:
        return bool(np.allclose(got, right, rtol=2e-3, atol=4e-3))

    if same(standard(raw, train)) or same(standard(raw, train, 1)):
        return
    everything = made.X_raw
    sigma = train.std(axis=0)
    known = {
        "not_scaled": [raw],
        "leak": [standard(raw, everything), standard(raw, everything, 1)],
        "leak_from_val": [
            standard(raw, np.concatenate([train, made.X_raw[made.rows["val"]]]), ddof) for ddof in (0, 1)
        ],
        "own_statistics": [standard(raw, raw), standard(raw, raw, 1)] if name != "train" else [],
        "global_mean": [(raw - by.mean()) / by.std(ddof=d) for by in (train, everything) for d in (0, 1)],
        "only_centred": [raw - train.mean(axis=0)],
        "variance": [(raw - train.mean(axis=0)) / sigma**2],
        "not_centred": [raw / sigma],
        "min_max": [
            (raw - by.min(axis=0)) / (by.max(axis=0) - by.min(axis=0)) for by in (train, everything, raw)
        ],
        "row_wise": [standard(raw.T, raw.T).T, standard(raw.T, raw.T, 1).T],
    }
    found = next((key for key, values in known.items() if any(map(same, values))), None)
    column = int(np.abs(got - standard(raw, train)).max(axis=0).argmax())
    made.fail(
        f"X_{name} is not standardised column by column with mean and deviation of the training rows.",
        found,
        expected=f"(X - mu) / sigma with mu, sigma of the raw training rows, in X_{name} too",
        got=f"column {column} of X_{name}: mean {got[:, column].mean():.3g}, "
        f"standard deviation {got[:, column].std():.3g}",
    )


@points("prepare", 0.75)
def test_prepare_constant_column(student, draw):
    for n, value in ((120, 3.0), (60, 0.0)):
        X, y = houses(draw, n)
        column = draw.seed % 8
        X[:, column] = value
        made = Prepared(student, X, y, 7)
        train = made.X_raw[made.rows["train"]]
        for name in NAMES:
            part = made.X[name]
            if not np.isfinite(part[:, column]).all():
                made.fail(
                    f"X_{name} has nan or inf where a feature is the same for all houses.",
                    "zero_division",
                    expected="finite numbers, 0 for instance",
                    got="nan or inf",
                )
            rest = np.arange(8) != column
            right = standard(made.X_raw[made.rows[name]][:, rest], train[:, rest])
            ours = part[:, rest].astype(np.float64)
            # ddof, and a small number added to sigma, move the values a little.
            if not np.allclose(ours, right, rtol=2e-2, atol=2e-2):
                made.fail(f"A constant column spoils the other columns of X_{name}.")
            if np.abs(part[:, column]).max() > 1e3:
                made.fail(
                    f"The constant column of X_{name} became huge.",
                    "zero_division",
                    got=f"{float(part[0, column]):.3g}",
                )


@points("prepare", 0.75)
def test_prepare_seed(student, draw):
    X, y = houses(draw, 160)
    seed = draw.seed % 1000
    student.seed(1)
    first = Prepared(student, X, y, seed)
    student.seed(2)
    again = Prepared(student, X, y, seed)
    for name in NAMES:
        if sorted(first.rows[name]) != sorted(again.rows[name]):
            first.fail(
                "Two calls with the same seed divide the rows in two ways.",
                "seed_not_used",
                expected="the same rows in each set",
            )
    ordered = all((np.diff(np.sort(first.rows[name])) == 1).all() for name in NAMES if len(first.rows[name]))
    if ordered:
        first.fail(
            "Each set is one block of neighbouring rows.",
            "not_shuffled",
            expected="rows in random order before they are divided",
        )
    student.seed(1)
    other = Prepared(student, X, y, seed + 1)
    if all(sorted(first.rows[name]) == sorted(other.rows[name]) for name in NAMES):
        other.fail(
            f"seed={seed} and seed={seed + 1} give the same sets.",
            "seed_ignored",
            expected="another seed, another division",
        )
