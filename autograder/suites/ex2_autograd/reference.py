"""Right answers of exercise 2. They run in the judge only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["chain_rule_by_hand", "fit_line", "gd_step", "grads", "numeric_grad", "trained", "value_and_grad"]


def value_and_grad(f: Callable[[Tensor], Tensor], x: float) -> tuple[float, float]:
    """``f(x)`` and ``f'(x)`` in float64."""
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y = f(t)
    (dy,) = torch.autograd.grad(y, t)
    return y.item(), dy.item()


def numeric_grad(f: Callable[[Tensor], Any], x: Tensor, eps: float = 1e-5) -> Tensor:
    """Central difference along each axis.  x: (n,) -> (n,)"""
    g = torch.zeros_like(x)
    for i in range(len(x)):
        e = torch.zeros_like(x)
        e[i] = eps
        g[i] = (f(x + e) - f(x - e)) / (2 * eps)
    return g


def chain_rule_by_hand(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of L = mean((σ(Wx + b) − y)²).  W: (o, i), b: (o,), x: (i,), y: (o,) -> (o, i), (o,)"""
    s = torch.sigmoid(W @ x + b)
    delta = 2 / len(y) * (s - y) * s * (1 - s)
    return torch.outer(delta, x), delta


def grads(
    W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: Callable[..., Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss and fresh gradients, detached.  W: (o, i), b: (o,), X: (N, i), Y: (N, o) -> (), (o, i), (o,)"""
    loss = ((forward(W, b, X) - Y) ** 2).mean()
    gW, gb = torch.autograd.grad(loss, (W, b))
    return loss.detach(), gW, gb


def gd_step(params: list[Tensor], lr: float) -> None:
    """θ ← θ − lr · ∂L/∂θ in place, for each parameter that has a gradient."""
    with torch.no_grad():
        for p in params:
            if p.grad is not None:
                p -= lr * p.grad


def fit_line(x: Tensor, y: Tensor, lr: float, steps: int) -> tuple[float, float, list[float]]:
    """Gradient descent on mean((w x + b − y)²) from w = b = 0 in float64; losses before each step."""
    x, y = x.detach().double(), y.detach().double()
    w = b = 0.0
    history = []
    for _ in range(steps):
        r = w * x + b - y
        history.append((r**2).mean().item())
        w, b = w - lr * (2 * r * x).mean().item(), b - lr * (2 * r).mean().item()
    return w, b, history


trained = fit_line  # what twins of fit_line stand for: their w and b
