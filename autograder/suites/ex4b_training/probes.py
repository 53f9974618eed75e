"""Spies that run beside the student's code: they write down what happens and hold no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = ["fit_and_predict", "measure", "real_training", "spied_training"]


class Line(nn.Module):
    """``x @ weight.T + bias``, and a note of every forward."""

    def __init__(self, weight: Any, bias: Any, events: list[Any]) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        self.events = events

    def forward(self, x: Any) -> Any:
        """Scores (N, 1)."""
        self.events.append({"kind": "forward", "rows": len(x), "training": self.training})
        return x @ self.weight.T + self.bias


class PlainSGD(torch.optim.Optimizer):
    """A simple optimizer as in exercise 4a. Notes the gradients that it finds at each step."""

    def __init__(self, params: Any, lr: float, events: list[Any]) -> None:
        super().__init__(params, {"lr": lr})
        self.events = events

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As inherited, and noted."""
        self.events.append({"kind": "zero_grad"})
        super().zero_grad(set_to_none)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """theta <- theta - lr * gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        params = [p for group in self.param_groups for p in group["params"]]
        self.events.append(
            {
                "kind": "step",
                "empty": all(p.grad is None for p in params),
                "grad": flat([torch.zeros_like(p) if p.grad is None else p.grad for p in params]),
                "weights": flat(params),
            }
        )
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(group["lr"] * p.grad)
        return loss


def flat(tensors: Any) -> Any:
    """One vector with a copy of all numbers."""
    return torch.cat([t.detach().clone().flatten() for t in tensors])


def distance(prediction: Any, target: Any) -> Any:
    """A smooth distance, averaged over the samples; no loss that torch has ready made."""
    return ((1 + (prediction - target) ** 2).sqrt() - 1).mean()


def find_rows(values: Any, table: Any) -> list[int]:
    """For each entry the row of ``table`` (all different) that it is, -1 if it is none."""
    same = values.detach().flatten()[:, None] == table.flatten()[None]
    return [int(row.nonzero()[0]) if bool(row.any()) else -1 for row in same]


def spied_training(
    train: Callable[..., Any],
    weight: Any,
    bias: Any,
    X: Any,
    y: Any,
    epochs: int,
    batch_size: int,
    seed: int,
    lr: float,
    training: bool,
) -> dict[str, Any]:
    """Call ``train`` with a spy model, loss and optimizer; what happened, in order, as data.

    X: (N, D), y: (N, 1) with N different numbers.
    """
    events: list[Any] = []
    model = Line(weight, bias, events)
    model.train(training)
    opt = PlainSGD(model.parameters(), lr, events)
    X_before, y_before = X.clone(), y.clone()

    def loss_fn(prediction: Any, target: Any) -> Any:
        loss = distance(prediction, target)
        swapped = target.requires_grad and not prediction.requires_grad
        guess, truth = (target, prediction) if swapped else (prediction, target)
        rows = find_rows(truth, y_before)
        own = X_before[[max(row, 0) for row in rows]] @ model.weight.T + model.bias
        fits = guess.numel() == truth.numel() == len(rows)
        event = {
            "kind": "loss",
            "rows": rows,
            "shapes": [list(guess.shape), list(truth.shape)],
            "swapped": swapped,
            "off": float((guess - own.reshape(guess.shape)).detach().abs().max()) if fits and rows else -1.0,
            "value": float(loss.detach()),
            "number": len(events),
            "fresh": None,
        }
        if loss.requires_grad:
            # The gradient of this batch alone, computed without touching .grad.
            params = list(model.parameters())
            found = torch.autograd.grad(loss, params, retain_graph=True, allow_unused=True)
            pairs = zip(found, params, strict=True)
            event["fresh"] = flat([torch.zeros_like(p) if grad is None else grad for grad, p in pairs])
            number = event["number"]
            loss.register_hook(
                lambda grad: events.append({"kind": "backward", "number": number, "scale": float(grad)})
            )
        events.append(event)
        return loss

    history = train(model, X, y, loss_fn, opt, epochs, batch_size, seed)
    return {
        "history": history,
        "events": list(events),
        "weights": flat([model.weight, model.bias]),
        "X_same": bool(torch.equal(X, X_before)) and not X.requires_grad,
        "y_same": bool(torch.equal(y, y_before)) and not y.requires_grad,
    }


def real_training(
    train: Callable[..., Any], arrays: Any, X: Any, y: Any, epochs: int, batch_size: int
) -> dict[str, Any]:
    """Call ``train`` without a seed, with a small classifier and SGD with momentum, nothing spied on."""
    model = classifier(arrays)
    opt = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    history = train(model, X, y, nn.CrossEntropyLoss(), opt, epochs, batch_size)
    return {"history": history, "weights": flat(model.parameters())}


def classifier(arrays: Any) -> nn.Module:
    """Linear, tanh, linear, with the given weights and biases."""
    first, first_bias, second, second_bias = arrays
    model = nn.Sequential(
        nn.Linear(first.shape[1], first.shape[0]), nn.Tanh(), nn.Linear(second.shape[1], second.shape[0])
    )
    with torch.no_grad():
        for p, value in zip(model.parameters(), (first, first_bias, second, second_bias), strict=True):
            p.copy_(value)
    return model


class Moody(nn.Module):
    """A linear classifier that gives other scores in training mode, as dropout does."""

    def __init__(self, weight: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())
        self.calls: list[list[bool]] = []

    def forward(self, x: Any) -> Any:
        """Scores (N, C); in training mode those of the next class."""
        self.calls.append([self.training, torch.is_grad_enabled()])
        scores = x @ self.weight.T
        return scores.roll(1, dims=1) if self.training else scores


def measure(accuracy: Callable[..., Any], weight: Any, X: Any, y: Any, training: bool) -> dict[str, Any]:
    """``accuracy`` of a model that is in training mode or not, and in which state it was called."""
    model = Moody(weight)
    model.train(training)
    X_before, y_before = X.clone(), y.clone()
    value = accuracy(model, X, y)
    return {
        "value": value,
        "calls": model.calls,
        "same": bool(torch.equal(X, X_before) and torch.equal(y, y_before)),
        "weight_same": bool(torch.equal(model.weight, weight)),
    }


def fit_and_predict(
    train_moons: Callable[..., Any], X: Any, y: Any, seed: int | None, X_test: Any
) -> dict[str, Any]:
    """Train on (X, y); what came back, and its scores for ``X_test`` in evaluation mode."""
    before = X.clone(), y.clone()
    model = train_moons(X, y) if seed is None else train_moons(X, y, seed)
    same = bool(torch.equal(X, before[0]) and torch.equal(y, before[1]))
    if not isinstance(model, nn.Module):
        return {"kind": type(model).__name__, "scores": None, "same": same}
    model.eval()
    with torch.no_grad():
        return {"kind": "Module", "scores": model(X_test.clone()), "same": same}
