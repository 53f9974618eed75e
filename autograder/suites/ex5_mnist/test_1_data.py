"""load_mnist and split, on made-up digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from autograder import points
from autograder.checks import assert_close, assert_shape, assert_type, assert_unchanged, fail

LOAD = "01.09 Classification: steps 1 and 3"
SPLIT = "01.09 Classification: step 4"

# ---------------------------------------------------------------- load_mnist


def load(student: Any, draw: Any, n: int, dtype: str) -> tuple[list[Any], Any, Any, Any]:
    """The calls of the fetcher, what load_mnist returned, and the pixels and labels that it was served."""
    pixels = draw.integers(0, 256, (n, 784))
    pixels[0, 0], pixels[-1, -1] = 255, 0
    labels = draw.labels(n, 10)
    seen = student.probe(
        "loaded",
        student.load_mnist,
        pixels.numpy().astype(dtype),
        [str(k) for k in labels.tolist()],
        called=f"load_mnist(fetch) with a fetcher that knows {n} made-up digits",
    )
    calls = seen.get("calls") if type(seen) is dict else None
    if type(calls) is not list or not calls:
        fail(
            "load_mnist never called fetch.",
            "ignores_fetch",
            called="load_mnist(fetch) with a fetcher that knows a few made-up digits",
            slide=LOAD,
        )
    return calls, seen.get("value"), pixels.numpy(), labels.numpy()


CASES = ((7, "int64"), (23, "float64"), (1, "uint8"))


@points("load_mnist", 0.5)
def test_load_mnist_asks_openml(student, draw):
    calls, _, _, _ = load(student, draw, 7, "int64")
    call = calls[0] if type(calls[0]) is dict else {}
    asked = {"called": "load_mnist(fetch)", "slide": LOAD}
    if call.get("name") not in (None, "mnist_784") or (
        call.get("name") is None and call.get("data_id") != 554
    ):
        fail(
            "fetch was asked for another data set.",
            "other_data_set",
            expected="'mnist_784'",
            got=f"{call.get('name')!r}"[:60],
            **asked,
        )
    if call.get("data_id") is None and str(call.get("version")) != "1":
        fail(
            "fetch was not asked for version 1.",
            "version_left_out",
            expected="version=1",
            got=f"version={call.get('version')!r}"[:60],
            **asked,
        )
    if call.get("frame") is not False:
        fail(
            "fetch was asked for a pandas DataFrame.", "as_frame_left_out", expected="as_frame=False", **asked
        )
    if len(calls) > 1:
        fail("fetch was called more than once.", got=f"{len(calls)} calls", **asked)


def pair(value: Any) -> tuple[Any, Any]:
    name = "load_mnist(fetch)"
    assert_type(value, (tuple, list), name=name, slide=LOAD, expected="the pair X, y", hint="return X, y")
    if len(value) != 2:
        fail(f"{name} has {len(value)} entries, not two.", expected="X, y", slide=LOAD)
    X, y = value
    for part, what in ((X, "X"), (y, "y")):
        if type(part) is torch.Tensor:
            fail(f"{what} is a tensor.", "tensors_returned", slide=LOAD)
        assert_type(part, np.ndarray, name=what, slide=LOAD)
    if X.ndim == 1 and y.ndim == 2:
        fail("load_mnist returned y, X.", "swapped", slide=LOAD)
    return X, y


@points("load_mnist", 0.75)
def test_load_mnist_pixels(student, draw):
    for n, dtype in CASES:
        _, value, pixels, _ = load(student, draw, n, dtype)
        X, _ = pair(value)
        words = {"called": f"load_mnist(fetch), {n} digits, pixels {dtype}", "slide": LOAD}
        got = f"shape {X.shape}, dtype {X.dtype}"
        if X.shape == (n, 28, 28) or X.shape == (n, 1, 28, 28):
            fail("X holds images, not rows of 784 numbers.", "images", got=got, **words)
        if n > 1 and X.shape == (784, n):
            fail("X is (784, N).", "transposed", got=got, **words)
        assert_shape(X, (n, 784), name="X", slide=LOAD)
        if X.dtype != np.float32:
            known = {"float64": "float64_left", "int64": "integers_left", "uint8": "integers_left"}
            fail(f"X has dtype {X.dtype}, not float32.", known.get(str(X.dtype)), got=got, **words)
        if n > 1 and np.allclose(X, pixels / 255, atol=1e-4):
            fail("The pixels are divided by 255 already.", "divided", **words)
        if n > 1 and abs(float(X.mean())) < 0.05 and float(X.std()) < 3:
            fail("The pixels are normalised already.", "normalised", **words)
        assert_close(X, pixels.astype(np.float32), name="X", slide=LOAD, hint="The raw values, 0 to 255.")


@points("load_mnist", 0.75)
def test_load_mnist_labels(student, draw):
    for n, dtype in CASES:
        _, value, _, labels = load(student, draw, n, dtype)
        _, y = pair(value)
        words = {"called": f"load_mnist(fetch), {n} digits", "slide": LOAD}
        if y.dtype == object or y.dtype.kind in "US":
            first = str(y.flat[0])[:10] if y.size else ""
            fail("The labels are texts.", "labels_are_strings", got=f"y[0] is {first!r}", **words)
        if y.shape == (n, 10):
            fail("y is one-hot.", "one_hot_labels", got=f"shape {y.shape}", **words)
        if y.shape == (n, 1):
            fail("y is a column.", "column", got=f"shape {y.shape}", **words)
        assert_shape(y, (n,), name="y", slide=LOAD)
        if y.dtype != np.int64:
            mistake = "labels_are_floats" if y.dtype.kind == "f" else "labels_not_int64"
            fail(f"y has dtype {y.dtype}, not int64.", mistake, got=f"dtype {y.dtype}", **words)
        assert_close(y, labels, name="y", slide=LOAD)


# ---------------------------------------------------------------- split

NAMES = ("X_train", "y_train", "X_val", "y_val", "X_test", "y_test")


class Parts:
    """Six arrays of ``split``, and which rows of the data (by their first number) each set holds."""

    def __init__(self, student: Any, X: Any, y: Any, *more: Any) -> None:
        self.called = f"split(X ({len(X)}, {X.shape[1]}), y, {', '.join(map(str, more)) or 'defaults'})"
        value = student.split(X, y, *more)
        words = {"name": "the result of split", "slide": SPLIT}
        assert_type(value, (tuple, list), expected="six arrays", **words)
        if len(value) != 6:
            self.fail(f"split returned {len(value)} things, not six.", expected=", ".join(NAMES))
        axes = [getattr(part, "ndim", None) for part in value]
        for part, name in zip(value, NAMES, strict=True):
            if type(part) is torch.Tensor:
                self.fail(f"{name} is a tensor.", "tensors_returned")
            assert_type(part, np.ndarray, name=name, slide=SPLIT)
        if axes in ([2, 2, 2, 1, 1, 1], [2, 2, 1, 1, 2, 1]):
            self.fail("The six arrays come in another order.", "grouped_by_kind", got=f"axes {axes}")
        for part, name in zip(value, NAMES, strict=True):
            if name[0] == "X":
                assert_shape(part, (None, X.shape[1]), name=name, slide=SPLIT)
            elif part.ndim != 1:
                self.fail(f"{name} has shape {part.shape}, not (n,).")
            if len(part) and part.dtype != (X if name[0] == "X" else y).dtype:
                self.fail(f"{name} has dtype {part.dtype}: the values are handed on as they are.", "cast")
        self.X, self.y = value[0::2], value[1::2]
        for a, b, name in zip(self.X, self.y, ("train", "val", "test"), strict=True):
            if len(a) != len(b):
                self.fail(f"X_{name} has {len(a)} rows and y_{name} {len(b)}.", "unequal_lengths")
        self.sizes = tuple(len(part) for part in self.y)
        self.rows = [np.rint(part[:, 0].astype(np.float64) * 4).astype(np.int64) for part in self.X]

    def fail(self, summary: str, mistake: str | None = None, **parts: Any) -> None:
        fail(summary, mistake, called=self.called, slide=SPLIT, **parts)


def rows_of(draw: Any, n: int, d: int, classes: int = 5, ordered: bool = False) -> tuple[Any, Any]:
    """X (n, d) float32, whose first column is the row number / 4, and y (n,) int64."""
    X = draw.tensors(n=n, d=d).of("n d").numpy()
    X[:, 0] = np.arange(n) / 4
    y = np.sort(np.arange(n) % classes) if ordered else draw.labels(n, classes).numpy()
    return X, y.astype(np.int64)


def right_sizes(parts: Parts, n: int, fractions: tuple[float, ...]) -> bool:
    # Two sizes rounded down leave up to two rows to the third.
    return sum(parts.sizes) == n and all(
        abs(size - n * fraction) < 2 and (size > 0 or n * fraction < 0.99)
        for size, fraction in zip(parts.sizes, fractions, strict=True)
    )


@points("split", 0.75)
def test_split_sizes(student, draw):
    for n, fractions in (
        (100, (0.8, 0.1, 0.1)),
        (10, (0.8, 0.1, 0.1)),
        (60, (0.5, 0.3, 0.2)),
        (143, (0.7, 0.1, 0.2)),
        (1000, (0.6, 0.2, 0.2)),
    ):
        parts = Parts(student, *rows_of(draw, n, 6), fractions, draw.seed % 1000)
        if right_sizes(parts, n, fractions):
            continue
        wanted = [round(n * fraction) for fraction in fractions]
        words = {"expected": f"about {wanted} rows", "got": f"{list(parts.sizes)} rows"}
        train, val, test = fractions
        for other, mistake in (
            ((0.8, 0.1, 0.1), "fractions_ignored"),
            ((train, test, val), "val_and_test_swapped"),
            ((test, val, train), "train_and_test_swapped"),
            ((train, val * (1 - train), (1 - val) * (1 - train)), "fraction_of_the_rest"),
            ((train, (1 - test) * (1 - train), test * (1 - train)), "fraction_of_the_rest"),
            (((1 - val) * (1 - test), val * (1 - test), test), "fraction_of_the_rest"),
        ):
            if sum(parts.sizes) == n and all(
                abs(size - n * part) < 2 for size, part in zip(parts.sizes, other, strict=True)
            ):
                parts.fail("The sizes do not fit the fractions.", mistake, **words)
        if sum(parts.sizes) < n:
            parts.fail(f"{n - sum(parts.sizes)} of {n} rows are in no set.", "rows_lost", **words)
        parts.fail("The sizes do not fit the fractions.", **words)


@points("split", 0.75)
def test_split_keeps_rows(student, draw):
    """Every row once, unchanged, with its own label."""
    for n, d in ((97, 5), (40, 11), (10, 784)):
        X, y = rows_of(draw, n, d)
        parts = Parts(student, X, y, (0.7, 0.15, 0.15), draw.seed % 1000)
        rows = np.concatenate(parts.rows)
        if ((rows < 0) | (rows >= n)).any() or not all(
            np.array_equal(part, X[own]) for part, own in zip(parts.X, parts.rows, strict=True)
        ):
            parts.fail("A row of the result is no row of X.", "rows_changed")
        for a, b, names in ((0, 1, "train and val"), (0, 2, "train and test"), (1, 2, "val and test")):
            shared = np.intersect1d(parts.rows[a], parts.rows[b])
            if len(shared):
                parts.fail(
                    f"Row {shared[0]} is in {names}.",
                    "overlap",
                    expected="no row in two sets",
                    got=f"{len(shared)} rows in {names}",
                )
        if len(set(rows.tolist())) < len(rows):
            parts.fail("A row is there twice in one set.", "with_replacement")
        if len(rows) < n:
            parts.fail(f"{n - len(rows)} of {n} rows are in no set.", "rows_lost")
        for own, labels in zip(parts.rows, parts.y, strict=True):
            wrong = int((labels != y[own]).sum())
            if wrong:
                parts.fail(
                    f"{wrong} of {len(own)} rows have a label that is not theirs.",
                    "shuffled_apart",
                    expected="y goes through the same permutation as X",
                )


@points("split", 0.75)
def test_split_shuffles(student, draw):
    """Sorted labels go in; each class must come out in every set."""
    for n, classes in ((400, 4), (300, 2)):
        X, y = rows_of(draw, n, 3, classes, ordered=True)
        parts = Parts(student, X, y, (0.6, 0.2, 0.2), draw.seed % 1000)
        if 0 in parts.sizes:
            parts.fail("A set is empty.", "rows_lost")
        for labels, name in zip(parts.y, ("train", "val", "test"), strict=True):
            absent = sorted(set(range(classes)) - set(labels.tolist()))
            if absent:
                parts.fail(
                    f"Class {absent[0]} does not occur in {name}.",
                    "no_shuffle" if all((np.diff(own) > 0).all() for own in parts.rows) else None,
                    expected="all classes in every set",
                    got=f"y_{name} holds {sorted(set(labels.tolist()))}"[:120],
                )


@points("split", 0.5)
def test_split_seed(student, draw):
    X, y = rows_of(draw, 120, 4)
    first_seed = draw.seed % 1000
    results = []
    for number, seed in enumerate((first_seed, first_seed, first_seed + 1)):
        student.seed(number)  # the global random numbers differ: only the argument may count
        results.append(Parts(student, X, y, (0.8, 0.1, 0.1), seed))
    first, again, other = ([own.tolist() for own in parts.rows] for parts in results)
    parts = results[0]
    if [sorted(own) for own in first] == [sorted(own) for own in other]:
        parts.fail("Two seeds, one split.", "seed_ignored", expected="another seed, other sets")
    if first != again:
        parts.fail("The same seed gave two different splits.", "not_reproducible")
    defaults = Parts(student, X, y)
    if not right_sizes(defaults, 120, (0.8, 0.1, 0.1)):
        defaults.fail("Without fractions it is 80/10/10.", got=f"{list(defaults.sizes)} rows")


@points("split", 0.25)
def test_split_leaves_the_data_alone(student, draw):
    X, y = rows_of(draw, 50, 4)
    Parts(student, X, y, (0.8, 0.1, 0.1), 3)
    if student.last.mutated:
        fail(
            "X or y is not what it was before.",
            "shuffles_in_place",
            called="split(X, y, (0.8, 0.1, 0.1), 3)",
            slide=SPLIT,
        )
    assert_unchanged(student.last, name="split", slide=SPLIT)
