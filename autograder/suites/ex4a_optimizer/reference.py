"""The oracle: PyTorch's own optimizers, with the signatures of the exercise."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["my_adam", "my_adamw", "my_momentum", "my_rmsprop", "my_sgd"]


def my_sgd(params: Any, lr: float) -> torch.optim.Optimizer:
    """θ ← θ − η·g."""
    return torch.optim.SGD(params, lr=lr)


def my_momentum(params: Any, lr: float, momentum: float = 0.9) -> torch.optim.Optimizer:
    """b ← μ·b + g, θ ← θ − η·b."""
    return torch.optim.SGD(params, lr=lr, momentum=momentum)


def my_rmsprop(params: Any, lr: float, alpha: float = 0.99, eps: float = 1e-8) -> torch.optim.Optimizer:
    """v ← α·v + (1 − α)·g², θ ← θ − η·g / (√v + ε)."""
    return torch.optim.RMSprop(params, lr=lr, alpha=alpha, eps=eps)


def my_adam(
    params: Any, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
) -> torch.optim.Optimizer:
    """Kingma and Ba, Adam, algorithm 1."""
    return torch.optim.Adam(params, lr=lr, betas=betas, eps=eps)


def my_adamw(
    params: Any,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> torch.optim.Optimizer:
    """Loshchilov and Hutter, Decoupled weight decay regularization, algorithm 2."""
    return torch.optim.AdamW(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


# The first optimizer of a process loads torch._dynamo (about 1 s): now, before judges are forked.
my_sgd([torch.zeros(1, requires_grad=True)], lr=0.1)
