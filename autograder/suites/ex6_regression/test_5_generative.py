"""fit_gaussians, posterior, sample: a model of p(x, y), and what Bayes makes of it."""

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
    fail,
)

from . import reference
from .kinds import as_kind, ask, either

SLIDE = "01.01 The learning problem; 01.12 Generative models"
ARRAY = (torch.Tensor, np.ndarray)
BOTH = ("torch", "numpy")


def clouds(draw: Any, sizes: tuple[int, ...]) -> tuple[Any, Any]:
    """X (N, 2), y (N,) int64: one tilted cloud per class, the rows mixed."""
    parts = []
    for k, n in enumerate(sizes):
        z = draw.arrays(n=n).of("n 2")
        tilt = np.array([[1.0 + 0.4 * k, 0.0], [0.6 - 0.5 * k, 0.5 + 0.3 * k]])
        parts.append(z @ tilt.T + np.array([2.0 * k, 1.0 - 1.5 * k]))
    y = np.repeat(np.arange(len(sizes)), sizes)
    order = draw.permutation(len(y)).numpy()
    return np.concatenate(parts)[order].astype(np.float32), y[order]


def number(value: Any, shape: tuple[int, ...], name: str, hint: str = "") -> Any:
    """The value as float64 array of that shape, or the check fails."""
    if type(value) in (list, tuple) and value and all(isinstance(v, (float, np.floating)) for v in value):
        value = np.asarray(value)  # shares as a plain list are numbers too
    assert_type(value, ARRAY, name=name, slide=SLIDE)
    assert_shape(value, shape, name=name, slide=SLIDE, hint=hint)
    assert_finite(value, name=name, slide=SLIDE)
    return reference.plain(as_tensor(value))


@points("generative", 0.35)
def test_fit_gaussians(student, draw):
    cases = [clouds(draw, sizes) for sizes in ((12, 30), (25, 9, 14), (8, 8), (5, 21, 11, 9))]

    def scenario(kind: str) -> None:
        for X, y in cases:
            k = int(y.max()) + 1
            got = ask(student, "fit_gaussians", kind, X, y)
            name = f"fit_gaussians(X {X.shape}, y with {k} classes)"
            assert_type(got, (tuple, list), name=name, slide=SLIDE, expected="prior, mean, cov")
            assert_length(got, 3, name=name, slide=SLIDE, expected="prior, mean, cov")
            right = reference.fit_gaussians(X, y)
            prior = number(got[0], (k,), "prior", "One number per class.")
            if abs(prior.sum() - 1) > 1e-4:
                fail("The priors do not sum to 1.", "prior_counts", got=f"sum {prior.sum():.4g}", slide=SLIDE)
            if np.abs(prior - right[0]).max() > 1e-3 and np.ptp(prior) < 1e-6:
                fail("The prior does not depend on the data.", "uniform_prior", called=name, slide=SLIDE)
            hint = "The share of each class."
            assert_close(prior, right[0], rtol=1e-3, atol=1e-4, name="prior", slide=SLIDE, hint=hint)
            mean = number(got[1], (k, 2), "mean", "One mean per class.")
            assert_close(mean, right[1], rtol=1e-3, atol=1e-3, name="mean", slide=SLIDE)
            cov = number(got[2], (k, 2, 2), "cov", "One 2x2 table per class.")
            counts = np.bincount(y)[:, None, None]
            either_way = [right[2], right[2] * counts / (counts - 1)]
            if not any(np.allclose(cov, table, rtol=2e-3, atol=1e-3) for table in either_way):
                assert_close(cov, right[2], rtol=2e-3, atol=1e-3, name="cov", slide=SLIDE)

    either(student, scenario, BOTH)


def mixture(draw: Any, k: int, equal: bool = False) -> tuple[Any, Any, Any]:
    """prior (k,), mean (k, 2), cov (k, 2, 2), float64."""
    weights = np.arange(1, k + 1) + draw.arrays(low=0, high=0.5, k=k).of("k")
    mean = 1.5 * draw.arrays(k=k).of("k 2")
    roots = draw.arrays(k=k).of("k 2 2") * 0.6 + np.eye(2)
    cov = roots @ roots.transpose(0, 2, 1) + 0.3 * np.eye(2)
    if equal:
        cov = np.repeat(cov[:1], k, axis=0)
    return weights / weights.sum(), mean, cov


@points("generative", 0.35)
def test_posterior(student, draw):
    cases = []
    for k, n, equal in ((2, 9, False), (3, 7, False), (2, 12, True), (4, 1, False)):
        cases.append((2 * draw.arrays(n=n).of("n 2"), *mixture(draw, k, equal)))

    def scenario(kind: str) -> None:
        for X, prior, mean, cov in cases:
            check_posterior(student, kind, X, prior, mean, cov)
            small = [np.asarray(part, np.float32) for part in (X, prior, mean, cov)]
            check_posterior(student, kind, *small)

    either(student, scenario, BOTH)


def check_posterior(student: Any, kind: str, X: Any, prior: Any, mean: Any, cov: Any) -> None:
    got = ask(student, "posterior", kind, X, prior, mean, cov)
    name = f"posterior(X {X.shape}, {len(prior)} classes)"
    p = number(got, (len(X), len(prior)), name, "One row per point, one column per class.")
    right = reference.posterior(X, prior, mean, cov)
    if np.abs(p.sum(axis=1) - 1).max() > 1e-3:
        assert_close(
            p, right, rtol=1e-2, atol=2e-3, name=name, slide=SLIDE, hint="Each row sums to 1: divide by p(x)."
        )
    assert_close(p, right, rtol=1e-2, atol=2e-3, name=name, slide=SLIDE, hint="P(y|x) = p(x|y) P(y) / p(x)")


@points("generative", 0.1)
def test_posterior_far_away(student, draw):
    """A hundred deviations away every density rounds to 0, and 0/0 is nan."""
    prior, mean, cov = mixture(draw, 2)
    far = np.array([[90.0, 0.0], [0.0, -120.0], [-300.0, 200.0], [0.1, 0.2]])

    def scenario(kind: str) -> None:
        got = ask(student, "posterior", kind, far, prior, mean, cov)
        if isinstance(got, ARRAY) and tuple(got.shape) == (4, 2):
            table = reference.plain(as_tensor(got))
            if np.isnan(table).any():
                fail(
                    "Far from both means posterior gives nan.",
                    "underflow",
                    called="posterior at points that are 100 and more away",
                    expected="rows that sum to 1",
                    slide=SLIDE,
                )
        check_posterior(student, kind, far, prior, mean, cov)

    either(student, scenario, BOTH)


@points("generative", 0.2)
def test_sample(student, draw):
    _, mean, cov = mixture(draw, 2)
    mean, cov = mean[0] + 3, cov[0] + np.array([[2.0, 1.1], [1.1, 0.7]])
    few = draw.sizes(1, low=4, high=9)[0]

    def scenario(kind: str) -> None:
        a, b = as_kind(kind, mean, cov)
        for n in (few, 1):
            number(student.sample(a, b, n), (n, 2), f"sample(mean, cov, {n})", "n points in the plane.")
        first, second = (
            number(student.sample(a, b, 8000), (8000, 2), "sample(mean, cov, 8000)") for _ in "ab"
        )
        if np.array_equal(first, second):
            fail(
                "Two calls give the same points.",
                "seeds_inside",
                called="sample(mean, cov, 8000)",
                slide=SLIDE,
            )
        points_seen = np.concatenate((first, second))
        for j in range(2):
            check_mean(points_seen[:, j], mean[j], cov[j, j], j)
        check_cov(points_seen, cov)

    either(student, scenario, BOTH)


def check_mean(values: Any, mu: float, variance: float, axis: int) -> None:
    if abs(values.mean() - mu) > 7 * np.sqrt(variance / len(values)):
        fail(
            f"The points lie around another mean (axis {axis}).",
            "mean_missing" if abs(values.mean()) < abs(mu) / 4 else None,
            got=f"mean {values.mean():.3g}",
            slide=SLIDE,
        )


def check_cov(values: Any, cov: Any) -> None:
    got = np.cov(values.T)
    # The deviation of an entry of a covariance from n points: sqrt((c_ii c_jj + c_ij²) / n).
    d = np.diag(cov)
    slack = 7 * np.sqrt((np.outer(d, d) + cov**2) / len(values))
    if (np.abs(got - cov) <= slack).all():
        return
    root = np.linalg.cholesky(cov)
    known = {
        "no_correlation": np.diag(d),
        "root_transposed": root.T @ root,
        "cov_as_root": cov @ cov.T,
        "unit_covariance": np.eye(2),
        "one_number_for_both": np.ones((2, 2)) * d[0],
        "variance_as_deviation": np.diag(d**2),
    }
    named = next((k for k, table in known.items() if (np.abs(got - table) <= 1.2 * slack + 0.02).all()), None)
    fail(
        "The points have another covariance.",
        named,
        expected="the covariance that was given",
        got=f"variances {got[0, 0]:.3g} and {got[1, 1]:.3g}, covariance {got[0, 1]:.3g}",
        slide=SLIDE,
    )
