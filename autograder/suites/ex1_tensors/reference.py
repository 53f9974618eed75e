"""Right answers of exercise 1. They run in the judge only."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "affine",
    "affine_batch",
    "device_type",
    "elementwise",
    "make_tensors",
    "random_tensors",
    "slices",
    "stack_cols",
    "stack_rows",
    "to_columns",
    "to_device",
    "to_grid",
]


def make_tensors(data: list[Any], arr: np.ndarray) -> dict[str, Tensor]:
    """Slide "factory methods": four float32 tensors; ``numpy`` is a copy of ``arr``."""
    return {
        "list": torch.tensor(data, dtype=torch.float32),
        "numpy": torch.tensor(arr, dtype=torch.float32),
        "ones": torch.ones(arr.shape),
        "zeros": torch.zeros(arr.shape),
    }


def random_tensors(n: int, m: int, mu: float, sigma: float) -> tuple[Tensor, Tensor]:
    """``normal (n, m)`` with mean mu and standard deviation sigma, ``uniform (n, m)`` on [0, 1)."""
    return torch.normal(mu, sigma, size=(n, m)), torch.rand(n, m)


def affine(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    """y = W x + b.  W: (o, i), x: (i,), b: (o,) -> (o,)"""
    return W @ x + b


def affine_batch(W: Tensor, X: Tensor, b: Tensor) -> Tensor:
    """One affine map for each row of X.  W: (o, i), X: (N, i), b: (o,) -> (N, o)"""
    return X @ W.T + b


def elementwise(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Slide "elementwise operations": B = A², C = √B, D = B + C, each of A's shape."""
    square = A**2
    root = square.sqrt()
    return square, root, square + root


def stack_rows(A: Tensor, B: Tensor) -> Tensor:
    """A: (n, m), B: (k, m) -> (n + k, m)"""
    return torch.cat((A, B), dim=0)


def stack_cols(A: Tensor, B: Tensor) -> Tensor:
    """A: (n, m), B: (n, k) -> (n, m + k)"""
    return torch.cat((A, B), dim=1)


def slices(x: Tensor) -> dict[str, Tensor]:
    """x: (n,) -> the four slices of the slide; shorter where x is short."""
    return {"first5": x[:5], "middle": x[2:6], "every2": x[::2], "last3": x[-3:]}


def to_grid(x: Tensor, r: int, c: int) -> Tensor:
    """x: (r*c,) -> (r, c), filled row by row."""
    return x.reshape(r, c)


def to_columns(x: Tensor, r: int, c: int) -> Tensor:
    """x: (r*c,) -> (r, c), filled column by column."""
    return x.reshape(c, r).T


def device_type(prefer: str | None, cuda: bool, mps: bool) -> str:
    """What ``pick_device(prefer).type`` must be on a machine with these back ends."""
    available = {"cuda": cuda, "mps": mps, "cpu": True}
    if prefer is not None and available[prefer]:
        return prefer
    return next(name for name, there in available.items() if there)


def to_device(t: Tensor, d: torch.device) -> Tensor:
    """``t`` on device ``d``; ``t`` itself stays where it is."""
    return t.to(d)
