"""rmse, r2 and the linear baseline."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import torch

from autograder import points
from autograder.checks import as_tensor, assert_close, assert_finite, assert_shape, assert_type, fail

from . import reference
from .kinds import ask, either

SLIDE = "01.10 Regression"
NUMBER = (float, int, torch.Tensor)
BOTH = ("torch", "numpy")


def measure(student: Any, name: str, kind: str, y_hat: Any, y: Any, reveal: bool = False) -> None:
    got = ask(student, name, kind, y_hat, y)
    shapes = f"{name}(y_hat {tuple(y_hat.shape)}, y {tuple(y.shape)})"
    assert_type(got, NUMBER, name=shapes, slide=SLIDE, hint="One number: float(…) or .item().")
    assert_shape(got, (), name=shapes, slide=SLIDE, hint="One number for all predictions.")
    if type(got) is torch.Tensor and got.requires_grad:
        fail(f"{shapes} carries a graph.", hint=".item()", slide=SLIDE)
    right = getattr(reference, name)(y_hat, y)
    assert_finite(got, name=shapes, slide=SLIDE)
    words = {"name": shapes, "slide": SLIDE}
    assert_close(got, right, rtol=2e-4, atol=2e-5, reveal=reveal, check_dtype=False, **words)


@points("rmse_r2", 0.5)
def test_rmse(student, draw):
    hand = np.array([1.0, 2.0, 5.0], np.float32), np.array([1.0, 4.0, 1.0], np.float32)
    n = draw.sizes(1, low=5, high=12)[0]
    a, b = draw.tensors(n=n).of("n", "n")
    one = draw.tensors().of("1", "1")
    big = draw.tensors(dtype="float64").of("50 1", "50 1")

    def scenario(kind: str) -> None:
        measure(student, "rmse", kind, *hand, reveal=True)
        measure(student, "rmse", kind, 3 * a + 1, b)
        measure(student, "rmse", kind, a[:, None] - 2, b[:, None])
        measure(student, "rmse", kind, *one)
        measure(student, "rmse", kind, 100 * big[0], 100 * big[1] + 7)
        measure(student, "rmse", kind, a, a)

    either(student, scenario, BOTH)


@points("rmse_r2", 0.5)
def test_r2(student, draw):
    hand = np.array([1.0, 2.0, 5.0], np.float32), np.array([1.0, 3.0, 5.0], np.float32)
    n = draw.sizes(1, low=6, high=14)[0]
    noise, y = draw.tensors(n=n).of("n", "n")

    def scenario(kind: str) -> None:
        measure(student, "r2", kind, *hand, reveal=True)
        measure(student, "r2", kind, y + 0.3 * noise + 0.2, y)
        measure(student, "r2", kind, (y + 0.3 * noise)[:, None] * 10, 10 * y[:, None])
        measure(student, "r2", kind, y, y)  # perfect: 1
        measure(student, "r2", kind, y.mean() * torch.ones(n), y)  # the mean predictor: 0
        measure(student, "r2", kind, 5 * noise + 3, y)  # worse than the mean: negative

    either(student, scenario, BOTH)


@points("rmse_r2", 0.5)
def test_rmse_any_mix_of_shapes(student, draw):
    mixed(student, draw, "rmse")


@points("rmse_r2", 0.5)
def test_r2_any_mix_of_shapes(student, draw):
    mixed(student, draw, "r2")


def mixed(student: Any, draw: Any, name: str) -> None:
    cases = []
    for n in draw.sizes(2, low=5, high=13):
        noise, y = draw.tensors(n=n).of("n", "n")
        y = 2 * y + 5
        y_hat = y + 0.7 * noise
        cases += [(y_hat[:, None], y), (y_hat, y[:, None]), (y_hat[:, None], y[:, None]), (y_hat, y)]

    def scenario(kind: str) -> None:
        for y_hat, y in cases:
            measure(student, name, kind, y_hat, y)

    either(student, scenario, BOTH)


# ---------------------------------------------------------------- linear_baseline


def rows(draw: Any, n: int, d: int, noise: float = 0.5) -> tuple[Any, Any]:
    """X (n, d), y (n, 1) float32: a plane far from the origin, and noise. The columns are not centred."""
    X, e = draw.arrays(n=n, d=d).of("n d", "n 1")
    w = draw.arrays(d=d).of("d 1")
    X = X + np.linspace(0.4, 1.3, d)
    return X.astype(np.float32), (X @ w + 3.0 + noise * e).astype(np.float32)


def check_baseline(student: Any, kind: str, X: Any, y: Any, reveal: bool = False) -> None:
    n, d = X.shape
    name = f"linear_baseline(X {X.shape}, y {y.shape})"
    got = ask(student, "linear_baseline", kind, X, y)
    if type(got) in (tuple, list):
        fail(
            f"{name} is a {type(got).__name__}.",
            "lstsq_result",
            expected=f"weights ({d + 1}, 1)",
            slide=SLIDE,
        )
    assert_type(got, (torch.Tensor, np.ndarray), name=name, slide=SLIDE)
    shape = tuple(got.shape)
    words = {"expected": f"shape ({d + 1}, 1)", "got": f"shape {shape}", "slide": SLIDE}
    if shape in ((d, 1), (d,)):
        fail("There is no weight for the intercept.", "no_intercept", **words)
    if shape == (d + 1,):
        fail("The weights are flat.", "flat_weights", **words)
    if shape == (1, d + 1):
        fail("The weights lie in a row.", "row_of_weights", **words)
    if shape == (n, 1):
        fail("These are predictions, one for each row.", "predictions", **words)
    assert_shape(got, (d + 1, 1), name=name, slide=SLIDE, hint="One weight per feature, the intercept last.")
    assert_finite(got, name=name, slide=SLIDE)
    ours = reference.plain(as_tensor(got))
    right = reference.linear_baseline(X, y)
    close = np.abs(ours - right).max() <= 2e-3 * max(1.0, np.abs(right).max())
    if not close:
        values = (ours.round(4).tolist(), right.round(4).tolist()) if reveal else None
        fail(
            f"{name} is not the least-squares solution.",
            called=name,
            expected=f"{values[1]}"
            if values
            else "the weights with the smallest squared error, intercept last",
            got=f"{values[0]}" if values else f"weights that are up to {np.abs(ours - right).max():.3g} away",
            hint="A column of ones on the right of X, then least squares: torch.linalg.lstsq, "
            "np.linalg.lstsq.",
            slide=SLIDE,
        )


@points("linear_baseline", 1)
def test_linear_baseline_weights(student, draw):
    x = np.arange(4, dtype=np.float32)[:, None]
    hand = x, 2 * x + 1
    sizes = [
        (int(n), int(d))
        for n, d in zip(draw.sizes(2, low=20, high=60), draw.sizes(2, low=2, high=9), strict=True)
    ]
    cases = [rows(draw, n, d) for n, d in sizes]

    def scenario(kind: str) -> None:
        check_baseline(student, kind, *hand, reveal=True)
        for X, y in cases:
            check_baseline(student, kind, X, y)

    either(student, scenario, ("numpy", "torch"))


@points("linear_baseline", 1)
def test_linear_baseline_predicts(student, draw):
    """Many rows and standardised features, as prepare gives them: compared by what the weights predict."""
    X, y = rows(draw, 700, 8, noise=1.0)
    X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)
    outside, _ = rows(draw, 50, 8)
    # With just as many rows as weights the plane goes through all points.
    exact = rows(draw, 6, 3)

    def scenario(kind: str) -> None:
        for table, target, new in ((X, y, outside), (*exact, exact[0])):
            check_baseline(student, kind, table, target) if table is X else None
            d = table.shape[1]
            got = ask(student, "linear_baseline", kind, table, target)
            assert_type(got, (torch.Tensor, np.ndarray), name="linear_baseline(X, y)", slide=SLIDE)
            assert_shape(got, (d + 1, 1), name="linear_baseline(X, y)", slide=SLIDE)
            weights = reference.plain(as_tensor(got))
            right = reference.linear_baseline(table, target)
            off = np.abs((new @ weights[:-1] + weights[-1]) - (new @ right[:-1] + right[-1]))
            if not off.max() <= 0.02 * sqrt(float(target.var()) + 1):
                fail(
                    "The plane predicts other values than least squares does.",
                    called=f"X_new @ w[:-1] + w[-1] with w = linear_baseline(X {table.shape}, y)",
                    got=f"up to {off.max():.3g} away",
                    slide=SLIDE,
                )

    either(student, scenario, ("numpy", "torch"))
