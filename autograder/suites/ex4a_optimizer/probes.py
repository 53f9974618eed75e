"""Scenarios that run beside the student's optimizer. They return what happened and compare nothing.

``make`` is the class (or a function like it); each scenario builds its own parameters from data, so the same
scenario can be run with any implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["closure_steps", "on_meta", "train", "walk"]

Data = Mapping[str, Any]


def walk(
    make: Callable[..., Any], start: Sequence[Tensor], gradients: Sequence[Any], options: Data, given: str
) -> dict[str, Any]:
    """One step for each row of ``gradients`` (None: this parameter has none in this step).

    ``given``: "list" or "generator", how the parameters are handed over. ``path`` holds the parameters at
    the start and after each step, ``after`` the gradients after each step, ``zeroed`` those after zero_grad,
    ``group`` the numbers that the first group holds.
    """
    parameters = [torch.nn.Parameter(tensor.detach().clone()) for tensor in start]
    optimizer = make((p for p in parameters) if given == "generator" else list(parameters), **options)
    path, after, zeroed = [_values(parameters)], [], []
    for row in gradients:
        for p, g in zip(parameters, row, strict=True):
            p.grad = None if g is None else g.detach().clone()
        optimizer.step()
        path.append(_values(parameters))
        after.append(_gradients(parameters))
        optimizer.zero_grad()
        zeroed.append(_gradients(parameters))
    inherits = isinstance(optimizer, torch.optim.Optimizer)
    return {
        "path": path,
        "after": after,
        "zeroed": zeroed,
        "inherits": inherits,
        "group": _numbers(getattr(optimizer, "param_groups", None)),
    }


def train(
    make: Callable[..., Any],
    weights: Mapping[str, Tensor],
    X: Tensor,
    Y: Tensor,
    options: Data,
    groups: Sequence[tuple[Sequence[str], Data]],
    steps: int,
    in_place: bool,
) -> dict[str, Any]:
    """Full-batch training of a small tanh net with parameter groups; ``frozen.*`` requires no gradient.

    X (N, in), Y (N, out); ``in_place``: gradients are zeroed in place between the steps instead of by
    ``zero_grad()``. ``path`` has all parameters in one vector per step, ``before`` and ``after`` all
    gradients around a step.
    """
    net = {
        name: torch.nn.Parameter(value.detach().clone(), requires_grad=not name.startswith("frozen"))
        for name, value in weights.items()
    }
    optimizer = make([{"params": [net[name] for name in names], **own} for names, own in groups], **options)
    path, before, after = [_vector(net.values())], [], []
    for _ in range(steps):
        hidden = X
        for layer in ("a", "c", "d"):
            hidden = torch.tanh(hidden @ net[f"{layer}.weight"].T + net[f"{layer}.bias"])
        output = hidden @ net["b.weight"].T + net["b.bias"]
        output = output @ net["frozen.weight"].T + net["frozen.bias"]
        loss = ((output - Y) ** 2).mean()
        if not loss.requires_grad:
            break  # the parameters have lost their requires_grad
        loss.backward()
        before.append(_vector(p.grad for p in net.values()))
        optimizer.step()
        after.append(_vector(p.grad for p in net.values()))
        path.append(_vector(net.values()))
        if in_place:
            for p in net.values():
                if p.grad is not None:
                    p.grad.zero_()
        else:
            optimizer.zero_grad()
    return {"path": path, "before": before, "after": after}


def closure_steps(
    make: Callable[..., Any], start: Tensor, target: Tensor, options: Data, steps: int
) -> dict[str, Any]:
    """``step(closure)``, where the closure zeroes, computes the loss and goes backward."""
    parameter = torch.nn.Parameter(start.detach().clone())
    optimizer = make([parameter], **options)
    calls, returned, path = [0], [], [_values([parameter])]

    def closure() -> Tensor:
        calls[0] += 1
        optimizer.zero_grad()
        loss = ((parameter - target) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(steps):
        value = optimizer.step(closure)
        returned.append(value.detach().clone() if isinstance(value, Tensor) else value)
        path.append(_values([parameter]))
    return {"path": path, "returned": returned, "calls": calls[0]}


def on_meta(make: Callable[..., Any], options: Data) -> dict[str, Any]:
    """Two steps on a device that has shapes and no numbers: where the memory of the parameter lies."""
    parameter = torch.nn.Parameter(torch.empty(2, 3, device="meta"))
    optimizer = make([parameter], **options)
    for _ in range(2):
        parameter.grad = torch.empty(2, 3, device="meta")
        optimizer.step()
    memory = getattr(optimizer, "state", {}).get(parameter, {})
    tensors = [value for value in memory.values() if isinstance(value, Tensor) and value.ndim > 0]
    return {"memory": sorted({tensor.device.type for tensor in tensors})}


def _values(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [p.detach().clone() for p in parameters]


def _gradients(parameters: Sequence[Tensor]) -> list[Tensor | None]:
    return [None if p.grad is None else p.grad.detach().clone() for p in parameters]


def _numbers(groups: Any) -> dict[str, Any]:
    """The entries of the first group that are numbers or tuples of numbers."""
    first = groups[0] if isinstance(groups, list) and groups and isinstance(groups[0], dict) else {}
    found = {}
    for key, value in first.items():
        items = value if isinstance(value, (list, tuple)) else [value]
        if isinstance(key, str) and all(type(item) in (int, float) for item in items):
            found[key] = tuple(value) if isinstance(value, list) else value
    return found


def _vector(tensors: Any) -> Tensor:
    present = [tensor.detach().reshape(-1) for tensor in tensors if tensor is not None]
    return torch.cat(present) if present else torch.empty(0)
