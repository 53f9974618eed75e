"""Helpers that run beside the student's code: functions to differentiate, and ways to call. No answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "bend",
    "bowl",
    "chain",
    "count_calls",
    "cubes",
    "cubic",
    "descend",
    "fifth",
    "hidden",
    "layer",
    "ratio",
    "root",
    "shielded",
    "take_gradients",
    "take_step",
    "twisted",
    "untracked",
    "wave",
]

# ---------------------------------------------------------------- functions of one number


def cubic(x: Tensor) -> Tensor:
    """The slide's x³ + 2x + 1."""
    return x**3 + 2 * x + 1


def wave(x: Tensor) -> Tensor:
    """sin x · eˣ"""
    return torch.sin(x) * torch.exp(x)


def ratio(x: Tensor) -> Tensor:
    """x / (1 + x²)"""
    return x / (1 + x**2)


def root(x: Tensor) -> Tensor:
    """√(4 + x²)"""
    return torch.sqrt(4 + x**2)


def bend(x: Tensor) -> Tensor:
    """tanh 2x − x²"""
    return torch.tanh(2 * x) - x**2


def shielded(x: Tensor) -> Tensor:
    """A part of it is hidden from autograd."""
    return x**2 + 3 * x.detach()


def count_calls(function: Callable[..., Any], x: float) -> Any:
    """What ``function(f, x)`` returns, and how often it called f."""
    seen = []

    def f(value: Tensor) -> Tensor:
        seen.append(1)
        return value**3 - value

    return function(f, x), len(seen)


# ---------------------------------------------------------------- functions of a vector


def bowl(x: Tensor) -> Tensor:
    """Σ x²"""
    return (x**2).sum()


def cubes(x: Tensor) -> Tensor:
    """Σ k x³, a weight of its own for each entry."""
    return (torch.arange(1, len(x) + 1, dtype=x.dtype) * x**3).sum()


def fifth(x: Tensor) -> Tensor:
    """Σ x⁵"""
    return (x**5).sum()


def twisted(x: Tensor) -> Tensor:
    """Every entry meets its neighbour: no entry can be moved alone unnoticed."""
    return (torch.sin(x) * torch.exp(x.roll(1) / 2)).sum() + x[0] * x[-1]


def untracked(x: Tensor) -> Tensor:
    """Like ``twisted``, behind autograd's back."""
    with torch.no_grad():
        return twisted(x)


# ---------------------------------------------------------------- forward functions


def layer(W: Tensor, b: Tensor, X: Tensor) -> Tensor:
    """W: (o, i), b: (o,), X: (N, i) -> (N, o)"""
    return X @ W.T + b


def hidden(W: Tensor, b: Tensor, X: Tensor) -> Tensor:
    """The same, bent by a sigmoid."""
    return torch.sigmoid(X @ W.T + b)


def chain(W: Tensor, b: Tensor, X: Tensor) -> Tensor:
    """Something else with the same shapes."""
    return torch.sin(X @ W.T) * torch.exp(b)


def take_gradients(
    function: Callable[..., Any],
    forward: Callable[..., Any],
    inputs: list[Tensor],
    fills: list[float | None],
    times: int,
) -> dict[str, Any]:
    """Call ``function(W, b, X, Y, forward)`` ``times`` times in a row on the same tensors.

    ``fills``: what W.grad and b.grad hold before the first call. Results are copied after each call.
    """
    W, b = (value.detach().clone().requires_grad_() for value in inputs[:2])
    X, Y = (value.detach().clone() for value in inputs[2:])
    for leaf, fill in zip((W, b), fills, strict=True):
        leaf.grad = None if fill is None else torch.full_like(leaf, fill)
    results, tracked = [], []
    for _ in range(times):
        result = function(W, b, X, Y, forward)
        parts = list(result) if type(result) in (tuple, list) else [result]
        tracked.append([type(part) is Tensor and part.requires_grad for part in parts])
        copies = [part.detach().clone() if type(part) is Tensor else part for part in parts]
        results.append(tuple(copies) if type(result) in (tuple, list) else copies[0])
    return {
        "results": results,
        "tracked": tracked,
        "inputs": [value.detach().clone() for value in (W, b, X, Y)],
        "requires_grad": [W.requires_grad, b.requires_grad],
        "is_leaf": [W.is_leaf, b.is_leaf],
    }


# ---------------------------------------------------------------- steps


def take_step(
    step: Callable[..., Any], values: list[Tensor], grads: list[Tensor | None], lr: float
) -> dict[str, Any]:
    """Parameters with these values and gradients before ``step(params, lr)``, and all about them after it."""
    leaves = [value.detach().clone().requires_grad_() for value in values]
    for leaf, grad in zip(leaves, grads, strict=True):
        leaf.grad = None if grad is None else grad.detach().clone()
    params = list(leaves)
    step(params, lr)
    return {
        "values": [leaf.detach().clone() for leaf in leaves],
        "is_leaf": [leaf.is_leaf for leaf in leaves],
        "requires_grad": [leaf.requires_grad for leaf in leaves],
        "same": len(params) == len(leaves) and all(a is b for a, b in zip(params, leaves, strict=True)),
        "grads": [None if leaf.grad is None else leaf.grad.detach().clone() for leaf in leaves],
    }


def descend(step: Callable[..., Any], start: Tensor, goal: Tensor, lr: float, steps: int) -> list[Tensor]:
    """Where a point on the parabola Σ (p − goal)² is after each step; gradients come from backward."""
    p = start.detach().clone().requires_grad_()
    path = []
    for _ in range(steps):
        p.grad = None
        ((p - goal) ** 2).sum().backward()
        step([p], lr)
        path.append(p.detach().clone())
    return path
