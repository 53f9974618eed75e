"""Right answers of exercise 5. They run in the judge only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "apply_scaler",
    "confusion",
    "cross_entropy",
    "fit_scaler",
    "layers",
    "mlp",
    "stops_after",
]

_Array = np.ndarray[Any, Any]


def fit_scaler(X_train: _Array) -> tuple[float, float]:
    """Slide "Normalisiere die Daten": mean and standard deviation of X_train/255, X_train (N, 784)."""
    scaled = X_train.astype(np.float64) / 255
    return float(scaled.mean()), float(scaled.std())


def apply_scaler(X: _Array, mu: Any, sigma: Any) -> _Array:
    """(X/255 - mu)/sigma, (N, 784) float32; a sigma of 0 counts as 1."""
    sigma = np.where(np.asarray(sigma) == 0, 1.0, np.asarray(sigma))
    return ((X.astype(np.float64) / 255 - np.asarray(mu)) / sigma).astype(np.float32)  # type: ignore[no-any-return]


def layers(parameters: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]] | None:
    """(weight, bias) of the layers 784-128-64-10, whatever their names and order; None if they are others."""
    found = []
    left = [p.detach().double() for p in parameters]
    for o, i in ((128, 784), (64, 128), (10, 64)):
        weight = next((p for p in left if tuple(p.shape) in ((o, i), (i, o))), None)
        bias = next((p for p in left if p.numel() == o), None)
        if weight is None or bias is None:
            return None
        left = [p for p in left if p is not weight and p is not bias]
        found.append((weight if tuple(weight.shape) == (o, i) else weight.T, bias.flatten()))
    return None if left else found


def mlp(weights: Sequence[tuple[Tensor, Tensor]], X: Tensor, acts: Sequence[Any]) -> Tensor:
    """Scores (N, 10) in float64 of X (N, 784), with ``acts`` after the first and the second layer."""
    x = X.double()
    for number, (weight, bias) in enumerate(weights):
        x = x @ weight.T + bias
        if number < len(acts):
            x = acts[number](x)
    return x


def stops_after(curve: Sequence[float], patience: int, epochs: int) -> tuple[int, int]:
    """How many epochs are trained, and which one (from 1) is the best, for these validation losses."""
    best = 0
    for epoch in range(1, epochs + 1):
        if best == 0 or curve[epoch - 1] < curve[best - 1]:
            best = epoch
        elif epoch - best >= patience:
            return epoch, best
    return epochs, best


def cross_entropy(scores: Tensor, y: Tensor) -> Tensor:
    """Mean of logsumexp(z) - z[y]; scores (N, C), y (N,) -> ()."""
    return (torch.logsumexp(scores, dim=1) - scores.gather(1, y[:, None])[:, 0]).mean()


def confusion(guess: Tensor, y: Tensor) -> Tensor:
    """(10, 10) int64: row = true class, column = guess."""
    return torch.bincount(10 * y + guess, minlength=100).reshape(10, 10)
