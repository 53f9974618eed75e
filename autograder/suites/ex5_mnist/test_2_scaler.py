"""fit_scaler and apply_scaler: one statistic, of the training set, for all sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from autograder import points
from autograder.checks import (
    as_tensor,
    assert_close,
    assert_finite,
    assert_length,
    assert_shape,
    assert_type,
    assert_unchanged,
    fail,
)

from . import reference

SLIDE = "01.09 Classification: step 2"
SHAPES = ((), (1,), (1, 1), (784,), (1, 784))


def images(draw: Any, n: int, low: float = 0.0, high: float = 255.0) -> Any:
    """(n, 784) float32, whole numbers; mean and spread differ from pixel to pixel."""
    X = draw.tensors(low=low, high=high, n=n).of("n 784").numpy()
    bright = np.linspace(0.3, 1.0, 784, dtype=np.float32)
    return np.floor(X * bright).astype(np.float32)


def fitted(student: Any, X: Any) -> tuple[Any, Any]:
    """mu and sigma as the student returned them, and checked to be numbers."""
    value = student.fit_scaler(X)
    name = "fit_scaler(X_train)"
    assert_type(value, (tuple, list), name=name, slide=SLIDE, expected="the pair mu, sigma")
    assert_length(value, 2, name=name, slide=SLIDE, expected="the pair mu, sigma")
    for part, what in zip(value, ("mu", "sigma"), strict=True):
        shape = tuple(as_tensor(part, name=what, slide=SLIDE).shape)
        if shape in ((len(X),), (len(X), 1)):
            fail(f"{what} has shape {shape}.", "per_sample", got=f"one {what} for each image", slide=SLIDE)
        if shape not in SHAPES:
            fail(
                f"{what} has shape {shape}.",
                expected="one number, or one for each pixel",
                got=f"shape {shape}",
                slide=SLIDE,
            )
        assert_finite(part, name=what, slide=SLIDE)
    return value[0], value[1]


def wide(value: Any) -> Any:
    """As an array of 784 numbers in float64."""
    return np.broadcast_to(np.asarray(as_tensor(value).double()).reshape(-1), (784,))


def near(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=2e-3, atol=2e-5))


def statistics(X: Any) -> list[tuple[Any, Any]]:
    """All right answers: of all pixels together or of each, divided by N or N-1."""
    X = X.astype(np.float64) / 255
    found = []
    for axis in (None, 0):
        for ddof in (0, 1):
            spread = X.std(axis=axis, ddof=ddof)
            found.append((np.broadcast_to(X.mean(axis=axis), 784), np.broadcast_to(spread, 784)))
    return found


def wrong_statistics(X: Any) -> list[tuple[str, Any, Any]]:
    raw = X.astype(np.float64)
    found = []
    for axis in (None, 0):
        mean, std = raw.mean(axis=axis), raw.std(axis=axis)
        scaled = raw / 255
        found += [
            ("raw_statistics", mean, std),
            ("raw_mean", mean, std / 255),
            ("raw_sigma", mean / 255, std),
            ("divided_twice", mean / 255**2, std / 255**2),
            ("variance", mean / 255, (std / 255) ** 2),
            ("returned_swapped", std / 255, mean / 255),
            ("min_max", scaled.min(axis=axis), scaled.max(axis=axis)),
            ("min_max", scaled.min(axis=axis), scaled.max(axis=axis) - scaled.min(axis=axis)),
            ("median", np.median(scaled, axis=axis), std / 255),
            ("no_centre", np.zeros(()), std / 255),
            ("mean_square", mean / 255, np.sqrt((scaled**2).mean(axis=axis))),
            ("sum_not_mean", scaled.sum(axis=axis), std / 255),
        ]
    return found


@points("scaler", 1.25)
def test_fit_scaler_values(student, draw):
    for n in (41, 200):
        X = images(draw, n)
        mu, sigma = fitted(student, X)
        got = (wide(mu), wide(sigma))
        if any(near(got[0], right[0]) and near(got[1], right[1]) for right in statistics(X)):
            continue
        words = {"called": f"fit_scaler(X_train), {n} images, pixels 0 to 255", "slide": SLIDE}
        for mistake, *wrong in wrong_statistics(X):
            if near(got[0], wrong[0]) and near(got[1], wrong[1]):
                fail("mu and sigma are not those of X_train/255.", mistake, **words)
        which = "mu" if not any(near(got[0], right[0]) for right in statistics(X)) else "sigma"
        text = "mean" if which == "mu" else "standard deviation"
        fail(
            f"{which} is not the {text} of X_train/255.",
            expected=f"the {text} over all pixels, or over each pixel",
            got=f"{which} between {min(got[which == 'sigma']):.4g} and {max(got[which == 'sigma']):.4g}",
            **words,
        )


def wrong_results(X: Any, mu: Any, sigma: Any) -> list[tuple[str, Any]]:
    raw = X.astype(np.float64)
    mu, sigma = np.asarray(mu, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    own = raw / 255
    return [
        ("not_divided", (raw - mu) / sigma),
        ("applied_twice_255", (raw / 255**2 - mu) / sigma),
        ("only_divided", raw / 255),
        ("not_shifted", raw / 255 / sigma),
        ("not_scaled", raw / 255 - mu),
        ("times_sigma", (raw / 255 - mu) * sigma),
        ("by_variance", (raw / 255 - mu) / sigma**2),
        ("by_root", (raw / 255 - mu) / np.sqrt(sigma)),
        ("parentheses", raw / 255 - mu / sigma),
        ("plus_mu", (raw / 255 + mu) / sigma),
        ("integer_division", (raw // 255 - mu) / sigma),
        ("divided_last", (raw - mu) / sigma / 255),
        ("own_statistics", (own - own.mean()) / own.std()),
        ("own_statistics", (own - own.mean(axis=0)) / np.maximum(own.std(axis=0), 1e-12)),
        ("own_mean", (own - own.mean()) / sigma),
    ]


def applied(student: Any, X: Any, mu: Any, sigma: Any) -> Any:
    """An array of the shape of X, float32, and finite."""
    value = student.apply_scaler(X, mu, sigma)
    name = "apply_scaler(X, mu, sigma)"
    if type(value) is torch.Tensor:
        fail(f"{name} is a tensor.", "tensors_returned", slide=SLIDE)
    assert_type(value, np.ndarray, name=name, slide=SLIDE)
    assert_shape(value, X.shape, name=name, slide=SLIDE)
    if value.dtype != np.float32:
        mistake = "float64_out" if value.dtype == np.float64 else None
        fail(f"{name} has dtype {value.dtype}, not float32.", mistake, slide=SLIDE)
    return value


def fits_each_pixel(student: Any, draw: Any) -> bool:
    """Whether the student's own mu and sigma are one for each pixel: who has chosen one number for all
    need not be prepared for 784 of them."""
    before = len(student.calls)
    try:
        return any(wide(part).std() > 0 for part in fitted(student, images(draw, 20)))
    except AssertionError:
        return False
    finally:
        del student.calls[before:]  # no message shall speak of it


@points("scaler", 1.25)
def test_apply_scaler_values(student, draw):
    one = np.zeros((1, 784), dtype=np.float32)
    one[0, :3] = (0.0, 127.5, 255.0)
    got = applied(student, one, 0.5, 0.25)
    mean, spread = (draw.arrays(low=low, high=high).of("784") for low, high in ((0.1, 0.4), (0.2, 0.6)))
    each = fits_each_pixel(student, draw)
    cases = []
    for n in (1, 6):
        X = images(draw, n)
        numbers = (draw.number(0.1, 0.4), draw.number(0.2, 0.6))
        pixels = tuple(part.astype(np.float32) for part in (mean, spread))
        for mu, sigma in (numbers, pixels) if each else (numbers,):
            cases.append((X, mu, sigma, applied(student, X, mu, sigma)))
    cases.append((one, 0.5, 0.25, got))
    for X, mu, sigma, got in cases:
        expected = reference.apply_scaler(X, mu, sigma)
        if np.allclose(got, expected, rtol=1e-3, atol=1e-3):
            continue
        kind = "numbers" if type(mu) is float else "arrays (784,)"
        words = {"called": f"apply_scaler(X {X.shape}, mu, sigma), mu and sigma {kind}", "slide": SLIDE}
        for mistake, wrong in wrong_results(X, mu, sigma):
            if np.allclose(got, wrong, rtol=1e-3, atol=1e-3):
                fail("The result is not (X/255 - mu)/sigma.", mistake, **words)
        assert_finite(got, name="apply_scaler(X, mu, sigma)", slide=SLIDE)
        if X is one:
            assert_close(
                got[0, :3], np.array([-2.0, 0.0, 2.0]), 1e-3, 1e-3, reveal=True, slide=SLIDE,
                name="apply_scaler of the pixels 0, 127.5, 255 with mu = 0.5, sigma = 0.25",
            )  # fmt: skip
        assert_close(got, expected, 1e-3, 1e-3, name="apply_scaler(X, mu, sigma)", slide=SLIDE)


@points("scaler", 1)
def test_scaler_uses_the_training_set(student, draw):
    """The test set lies elsewhere: it must come out elsewhere, on the scale of the training set."""
    train, test = images(draw, 60, 0.0, 120.0), images(draw, 17, 100.0, 255.0)
    mu, sigma = fitted(student, train)
    for X, name in ((train, "train"), (test, "test"), (test[:1], "one image")):
        got = applied(student, X, mu, sigma)
        expected = [(X.astype(np.float64) / 255 - m) / s for m, s in statistics(train)]
        if any(np.allclose(got, right, rtol=3e-3, atol=3e-3) for right in expected):
            continue
        words = {
            "called": f"apply_scaler(X_{name}, *fit_scaler(X_train))".replace("X_one image", "one image"),
            "expected": "X is shifted and scaled with mu and sigma of X_train",
            "slide": SLIDE,
        }
        own = statistics(X)
        if any(np.allclose(got, (X / 255 - m) / np.maximum(s, 1e-12), atol=3e-3) for m, s in own[:2]) or (
            len(X) > 1
            and any(np.allclose(got, (X / 255 - m) / np.maximum(s, 1e-12), atol=3e-3) for m, s in own)
        ):
            fail(f"{name} was normalised with its own mean and spread.", "own_statistics", **words)
        each = X.astype(np.float64) / 255
        each = (each - each.mean(axis=1, keepdims=True)) / each.std(axis=1, keepdims=True)
        if np.allclose(got, each, atol=3e-3):
            fail("Each image was normalised with its own mean and spread.", "per_sample", **words)
        wrong = wrong_together(X, train)
        for mistake, value in wrong:
            if np.allclose(got, value, rtol=3e-3, atol=3e-3):
                fail("The numbers are not (X/255 - mu)/sigma.", mistake, **words)
        assert_finite(got, name=words["called"], slide=SLIDE)
        fail("The numbers are not (X/255 - mu)/sigma with mu and sigma of X_train.", **words)


def wrong_together(X: Any, train: Any) -> list[tuple[str, Any]]:
    found = []
    for mu, sigma in statistics(train)[::2]:
        found += [
            (mistake, value) for mistake, value in wrong_results(X, mu, sigma) if np.isfinite(value).all()
        ]
        found.append(("raw_statistics", (X.astype(np.float64) / 255 - mu * 255) / (sigma * 255)))
    return found


@points("scaler", 0.25)
def test_scaler_survives_constant_pixels(student, draw):
    """The corners of all digits are black: a pixel that never changes has sigma 0."""
    X = images(draw, 30)
    X[:, :40] = 0
    X[:, 400] = 255
    other = images(draw, 8)
    for train, test in ((X, other), (np.zeros((5, 784), dtype=np.float32),) * 2):
        mu, sigma = fitted(student, train)
        for images_ in (train, test):
            got = applied(student, images_, mu, sigma)
            if not np.isfinite(got).all():
                fail(
                    "Some of the scaled pixels are nan or inf.",
                    "nan_for_constant",
                    called="apply_scaler(X, *fit_scaler(X_train)), some pixels the same in all images",
                    expected="finite numbers",
                    got=f"{int((~np.isfinite(got)).sum())} pixels are nan or inf",
                    slide=SLIDE,
                )


@points("scaler", 0.25)
def test_scaler_leaves_the_data_alone(student, draw):
    X = images(draw, 12)
    mu, sigma = fitted(student, X)
    for record in (student.last,):
        check_same(record, "fit_scaler")
    applied(student, X, mu, sigma)
    check_same(student.last, "apply_scaler")


def check_same(record: Any, name: str) -> None:
    if record.mutated:
        fail(f"{name} changed its argument.", "in_place", called=name, slide=SLIDE)
    assert_unchanged(record, name=name, slide=SLIDE)
