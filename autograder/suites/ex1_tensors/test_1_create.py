"""make_tensors and random_tensors: where tensors come from."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any

import numpy as np
import torch

from autograder import points
from autograder.checks import (
    assert_close,
    assert_finite,
    assert_keys,
    assert_true,
    assert_type,
    assert_unchanged,
    fail,
)

from . import reference
from .helpers import tensor, tuple_of_tensors

CREATE = "01.04 Creating tensors"
RANDOM = "01.04 Random tensors"
DATA = [[1, 2], [3, 4]]
ARR = np.array([[5.0, 6.0], [7.0, 8.0]])


# ---------------------------------------------------------------- make_tensors


def float32_tensor(result: Any, key: str, shape: tuple[int, ...], **why: Any) -> torch.Tensor:
    """``result[key]``, after the questions one asks of any tensor: is it one, which dtype, which shape."""
    assert_type(result, dict, name="make_tensors(data, arr)", slide=CREATE, expected="a dict of four tensors")
    assert_keys(result, [key], name="make_tensors(data, arr)", slide=CREATE)
    value, name = result[key], f'result["{key}"]'
    assert_type(value, torch.Tensor, name=name, slide=CREATE)
    if value.dtype != torch.float32:
        known = {torch.int64: "int64_left", torch.float64: "float64_left"}
        fail(
            f"{name} has dtype {str(value.dtype).removeprefix('torch.')}, float32 is asked for.",
            name=name,
            expected="dtype float32",
            hint="torch.tensor guesses the dtype from the data. Name it: dtype=torch.float32.",
            slide=CREATE,
            mistake=known.get(value.dtype),
        )
    return tensor(value, shape, name=name, slide=CREATE, **why)


def array_cases(draw: Any) -> Iterator[tuple[list[Any], np.ndarray]]:
    """A wide array, a 3-D one, one of integers, one in float32 already; data never has arr's shape."""
    r, c, k = draw.sizes(3)
    yield [1, 2, 3], draw.arrays(r=3, c=5).of("arr: r c")
    yield (draw.integers(-20, 20, (3, 2)) / 2).tolist(), draw.arrays(r=r, c=c, k=k).of("arr: r c k")
    yield [[[1], [2]], [[3], [4]]], draw.arrays("int64", low=-9, high=10, r=3, c=4).of("arr: r c")
    yield [0.5, -2], draw.arrays("float32", n=7).of("arr: n")


@points("make_tensors", 1)
def test_make_tensors_from_data(student, draw):
    result = student.make_tensors(DATA, ARR)
    for key, expected in (("list", DATA), ("numpy", ARR.tolist())):
        got = float32_tensor(result, key, (2, 2))
        assert_close(
            got,
            torch.tensor(expected, dtype=torch.float32),
            name=f'result["{key}"]',
            reveal=True,
            slide=CREATE,
        )
    for data, arr in array_cases(draw):
        result, right = student.make_tensors(data, arr), reference.make_tensors(data, arr)
        for key in ("list", "numpy"):
            got = float32_tensor(result, key, tuple(right[key].shape))
            assert_close(got, right[key], name=f'result["{key}"]', slide=CREATE)


@points("make_tensors", 1)
def test_make_tensors_factories(student, draw):
    for data, arr in [(DATA, ARR), *array_cases(draw)]:
        result, right = student.make_tensors(data, arr), reference.make_tensors(data, arr)
        for key in ("ones", "zeros"):
            got = float32_tensor(result, key, arr.shape, hint="The shape of arr, whatever it is: arr.shape")
            # In a check, memory that nobody has written to holds NaN.
            mistake = "uninitialised" if bool(got.isnan().any()) else None
            hint = f"torch.{key} fills the tensor; torch.empty leaves in it what was in memory before."
            name = f'result["{key}"]'
            assert_close(got, right[key], name=name, reveal=True, slide=CREATE, hint=hint, mistake=mistake)


@points("make_tensors", 1)
def test_make_tensors_copies(student, draw):
    for data, arr in array_cases(draw):
        right = reference.make_tensors(data, arr)["numpy"]
        got = float32_tensor(student.make_tensors(data, arr), "numpy", arr.shape)
        assert_close(got, right, name='result["numpy"]', slide=CREATE)
        assert_unchanged(
            student.last, hint="Build new tensors and leave data and arr as they came.", slide=CREATE
        )
        seen = student.probe("write_to_array", student.make_tensors, data, arr)
        assert_type(seen, (tuple, list), name='result["numpy"]', expected="a tensor", slide=CREATE)
        before, after, array_before, array_after = seen
        if not torch.equal(before, after) or not np.array_equal(array_before, array_after):
            fail(
                'result["numpy"] and arr share memory: changing one changed the other.',
                called=f"result = make_tensors(data, arr) with arr of dtype {arr.dtype}; then arr += 1",
                expected='result["numpy"] keeps its numbers',
                got='result["numpy"] changed as well',
                hint=(
                    "torch.from_numpy and torch.as_tensor do not copy when the dtype fits. "
                    "torch.tensor(arr, …) always does."
                ),
                slide=CREATE,
                mistake="shares_memory",
            )


# ---------------------------------------------------------------- random_tensors

STANDARD_ERRORS = 6.0  # two-sided false alarm 2e-9 for each statistic


def two_samples(student: Any, n: int, m: int, mu: float, sigma: float) -> list[torch.Tensor]:
    """``normal, uniform`` of one call, as float64, after type, dtype, shape and finiteness."""
    names = ("normal", "uniform")
    result = student.random_tensors(n, m, mu, sigma)
    found = tuple_of_tensors(result, names, (n, m), name="random_tensors(n, m, mu, sigma)", slide=RANDOM)
    for name, value in zip(names, found, strict=True):
        swapped = getattr(value, "shape", None) == (m, n) and n != m
        hint, mistake = "n rows and m columns: size=(n, m).", "rows_and_columns_swapped" if swapped else None
        tensor(value, (n, m), name=name, slide=RANDOM, hint=hint, mistake=mistake)
        assert_true(
            value.is_floating_point(),
            f"{name} has dtype {value.dtype}: random numbers need a floating dtype.",
            slide=RANDOM,
        )
        # In a check, memory that nobody has written to holds NaN.
        unfilled = "uninitialised" if bool(value.isnan().all()) else None
        assert_finite(value, name=name, slide=RANDOM, mistake=unfilled)
    return [value.detach().double() for value in found]


def near(value: float, expected: float, standard_error: float) -> bool:
    return abs(value - expected) <= STANDARD_ERRORS * standard_error


def assert_independent(sample: torch.Tensor, name: str) -> None:
    """Almost all numbers of a continuous sample differ (half is far below what float32 gives)."""
    distinct = len(np.unique(sample.numpy()))  # torch's own takes three times as long
    if distinct < sample.numel() // 2:
        fail(
            f"{name} repeats itself: only {distinct} different values among {sample.numel()}.",
            hint="Draw all n·m numbers at once, size=(n, m); do not copy or round them.",
            slide=RANDOM,
            mistake="repeated_numbers",
        )


@points("random_tensors", 0.75)
def test_random_normal(student, draw):
    small = draw.sizes(2)
    for n, m in (small, (1, 4), (3, 1)):
        two_samples(student, n, m, 1.5, 2.0)
    for sign in (1, -1):
        assert_normal(student, sign * draw.number(5, 8), draw.number(2.5, 4))


def assert_normal(student: Any, mu: float, sigma: float) -> None:
    """20,000 numbers have this mean, this spread and the shape of the bell."""
    normal, _ = two_samples(student, 200, 100, mu, sigma)
    assert_independent(normal, "normal")
    count = normal.numel()
    mean, std = float(normal.mean()), float(normal.std())
    error_mean, error_std = sigma / sqrt(count), sigma / sqrt(2 * count)
    about = {
        "called": f"random_tensors(200, 100, mu={mu:.3f}, sigma={sigma:.3f})",
        "got": f"mean {mean:.3f}, standard deviation {std:.3f}",
        "slide": RANDOM,
    }

    def looks_like(other_mean: float, other_std: float) -> bool:
        slack = 0.05 * max(1.0, other_std)
        return abs(mean - other_mean) < slack and abs(std - other_std) < slack

    if not near(mean, mu, error_mean) or not near(std, sigma, error_std):
        mistakes = {
            "standard_normal": looks_like(0, 1),
            "sigma_not_used": looks_like(mu, 1),
            "mu_not_used": looks_like(0, sigma),
            "minus_mu": looks_like(-mu, sigma),
            "divided_by_sigma": looks_like(mu, 1 / sigma),
            "uniform_first": looks_like(0.5, sqrt(1 / 12)),
            "variance_for_std": looks_like(mu, sigma**2),
            "root_of_sigma": looks_like(mu, sqrt(sigma)),
            "mu_and_sigma_swapped": looks_like(sigma, abs(mu)),
            "scaled_mean": looks_like(sigma * mu, sigma),
        }
        what = "mean" if not near(mean, mu, error_mean) else "standard deviation"
        fail(
            f"The {what} of `normal` is not the one asked for.",
            expected=f"mean near mu = {mu:.3f}, standard deviation near sigma = {sigma:.3f}",
            hint="torch.normal(mu, sigma, size=(n, m)), or mu + sigma * torch.randn(n, m).",
            mistake=next((name for name, found in mistakes.items() if found), None),
            **about,
        )
    inside = float(((normal - mu).abs() < sigma).double().mean())
    share = 0.682689
    if not near(inside, share, sqrt(share * (1 - share) / count)):
        fail(
            (
                f"`normal` has the right mean and spread but is no bell curve: {inside:.1%} lie "
                "within one sigma, not 68.3%."
            ),
            hint="torch.normal and torch.randn draw from the normal distribution.",
            mistake="not_normal",
            **about,
        )


@points("random_tensors", 0.5)
def test_random_uniform(student, draw):
    mu, sigma = draw.number(5, 8), draw.number(2.5, 4)
    _, uniform = two_samples(student, 200, 100, mu, sigma)
    count = uniform.numel()
    low, high = float(uniform.min()), float(uniform.max())
    mean, std = float(uniform.mean()), float(uniform.std())
    about = {
        "called": f"random_tensors(200, 100, mu={mu:.3f}, sigma={sigma:.3f})",
        "got": f"smallest {low:.3f}, largest {high:.3f}, mean {mean:.3f}",
        "expected": "numbers in [0, 1), all equally likely: mean near 0.5",
        "slide": RANDOM,
    }
    if low < 0 or high > 1:  # 1 itself may come out of the right `1 - torch.rand(n, m)`
        if abs(mean - mu) < 0.3 and abs(std - sigma) < 0.3:
            mistake = "uniform_first"
        elif abs(mean) < 0.1 and abs(std - 1) < 0.1:
            mistake = "uniform_is_normal"
        else:
            mistake = "uniform_scaled"
        fail("`uniform` leaves the interval [0, 1).", mistake=mistake, **about)
    assert_independent(uniform, "uniform")
    width = sqrt(1 / 12)
    quarter = float((uniform < 0.25).double().mean())
    even = (
        near(mean, 0.5, width / sqrt(count))
        and near(std, width, sqrt(1 / 180 / count) / (2 * width))
        and near(quarter, 0.25, sqrt(0.25 * 0.75 / count))
    )
    if not even:
        fail(
            "`uniform` stays in [0, 1) but is not uniformly distributed.",
            hint="torch.rand(n, m)",
            mistake="not_uniform",
            **about,
        )


@points("random_tensors", 0.75)
def test_random_reproducible(student, draw):
    n, m, mu, sigma = 4, 3, draw.number(1, 3), draw.number(1, 2)
    two_samples(student, n, m, mu, sigma)
    seen = student.probe("draw_three_times", student.random_tensors, [n, m, mu, sigma], draw.seed)
    names = ("normal", "uniform")
    first, second, again = (
        tuple_of_tensors(part, names, (n, m), name="random_tensors", slide=RANDOM) for part in seen
    )
    for k, name in enumerate(names):
        for part in (first[k], second[k], again[k]):
            tensor(part, (n, m), name=name, slide=RANDOM)
        if torch.equal(first[k], second[k]):
            fail(
                f"Two calls in a row give the same `{name}`.",
                called="random_tensors(4, 3, mu, sigma), twice, without seeding in between",
                expected="new numbers each time",
                got="the same numbers twice",
                hint="Seed once, at the top of the notebook, never inside the function.",
                slide=RANDOM,
                mistake="seeds_inside",
            )
        if not torch.equal(first[k], again[k]):
            fail(
                f"`{name}` does not come back after torch.manual_seed with the same seed.",
                called="torch.manual_seed(s); random_tensors(4, 3, mu, sigma), twice with the same s",
                expected="the same numbers both times",
                got="different numbers",
                hint="Draw with torch (torch.normal, torch.randn, torch.rand), from its global generator.",
                slide=RANDOM,
                mistake="other_generator",
            )
