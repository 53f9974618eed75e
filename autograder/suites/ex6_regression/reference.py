"""Right answers of exercise 6, in float64 numpy. They run in the judge only."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["fit_gaussians", "linear_baseline", "posterior", "r2", "rmse"]


def plain(value: Any) -> Any:
    """A float64 array from a tensor, an array or numbers."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, dtype=np.float64)


def rmse(y_hat: Any, y: Any) -> float:
    """The root of the mean squared error of N predictions; (N,) and (N, 1) in any mix."""
    return float(np.sqrt(np.mean((plain(y_hat).ravel() - plain(y).ravel()) ** 2)))


def r2(y_hat: Any, y: Any) -> float:
    """The share of the variance of y that is explained: 1 - Σ(y - y_hat)² / Σ(y - mean)²."""
    y_hat, y = plain(y_hat).ravel(), plain(y).ravel()
    return float(1 - np.sum((y - y_hat) ** 2) / np.sum((y - y.mean()) ** 2))


def linear_baseline(X_train: Any, y_train: Any) -> Any:
    """Least squares with an intercept: X (N, D), y (N, 1) -> weights (D + 1, 1), intercept last."""
    X, y = plain(X_train), plain(y_train)
    return np.linalg.lstsq(np.column_stack((X, np.ones(len(X)))), y, rcond=None)[0]


def fit_gaussians(X: Any, y: Any) -> tuple[Any, Any, Any]:
    """Per class its share, mean and covariance (1/N): X (N, 2), y (N,) -> (K,), (K, 2), (K, 2, 2)."""
    X, y = plain(X), plain(y).astype(np.int64)
    groups = [X[y == k] for k in range(int(y.max()) + 1)]
    prior = np.array([len(group) / len(X) for group in groups])
    mean = np.stack([group.mean(axis=0) for group in groups])
    cov = np.stack([np.cov(group.T, ddof=0) for group in groups])
    return prior, mean, cov


def log_joint(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    """log p(x, k), (N, K)."""
    X, prior, mean, cov = plain(X), plain(prior), plain(mean), plain(cov)
    columns = []
    for k in range(len(prior)):
        gap = X - mean[k]
        distance = np.sum(gap @ np.linalg.inv(cov[k]) * gap, axis=1)
        volume = np.log(np.linalg.det(2 * np.pi * cov[k]))
        columns.append(np.log(prior[k]) - 0.5 * (distance + volume))
    return np.stack(columns, axis=1)


def posterior(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    """Bayes: P(k | x) = p(x, k) / p(x), slide 01.01 -> (N, K)."""
    logs = log_joint(X, prior, mean, cov)
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


# Twins are compared by what numbers come out, in tensors or arrays: kinds.ask observes under these names.
rmse_plain, r2_plain, linear_baseline_plain = rmse, r2, linear_baseline
fit_gaussians_plain, posterior_plain = fit_gaussians, posterior
