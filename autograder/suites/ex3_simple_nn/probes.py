"""Helpers that run beside the student's code. They build models, look at them, and hold no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = [
    "describe",
    "is_module",
    "layer_count",
    "linear",
    "model_named",
    "on_meta",
    "operations_used",
    "recorder",
    "seen",
    "set_by_shape",
    "set_weights",
    "training_modes",
]


# ---------------------------------------------------------------- functions


class _Log(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(func.name()).removeprefix("aten::").partition(".")[0])
        return func(*args, **(kwargs or {}))


def operations_used(f: Callable[[Tensor], Any], z: Tensor) -> list[str]:
    """Names of the tensor operations that f(z) comes down to, whatever they are called by."""
    with _Log() as log:
        f(z)
    return sorted(log.names)


class _Devices(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes an operation that mixes tensors of the meta device with others that have axes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.mixed = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func.name()).removeprefix("aten::").partition(".")[0]
        tensors = _tensors([args, kwargs or {}])
        places = {t.device.type for t in tensors if t.ndim > 0 or t.device.type == "meta"}
        if len(places) > 1 and "copy" not in name and "index" not in name:
            self.mixed = self.mixed or name
        return func(*args, **(kwargs or {}))


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in _tensors(item)]
    if isinstance(value, dict):
        return [t for item in value.values() for t in _tensors(item)]
    return []


def on_meta(f: Any, shape: list[int]) -> list[Any]:
    """Run f on a tensor of the meta device, which has shapes and no numbers: what came back or was raised.

    A module is moved there first. The meta device lets some operations mix devices; a GPU would not.
    """
    try:
        if isinstance(f, nn.Module):
            f = f.to("meta")
        x = torch.empty(shape, device="meta")
        with _Devices() as devices:
            y = f(x)
    except Exception as problem:
        return ["error", type(problem).__name__, str(problem)[:300]]
    if devices.mixed:
        return ["error", "RuntimeError", f"{devices.mixed}: expected all tensors to be on the same device"]
    return ["ok", y.device.type if isinstance(y, Tensor) else type(y).__name__, ""]


# ---------------------------------------------------------------- modules


def is_module(value: Any) -> bool:
    """Whether it is an nn.Module."""
    return isinstance(value, nn.Module)


def describe(model: Any) -> dict[str, Any]:
    """Whether it is a module, a Linear, holds other modules, and what its attribute ``bias`` is."""
    if not isinstance(model, nn.Module):
        return {"module": False, "linear": False, "parts": 0, "bias": "", "type": type(model).__name__}
    parts = list(model.modules())
    bias = getattr(model, "bias", None)
    return {
        "module": True,
        "linear": any(isinstance(part, nn.Linear) for part in parts),
        "parts": len(parts),
        "bias": "None" if bias is None else type(bias).__name__,
        "type": type(model).__name__,
    }


def set_weights(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Write values into the parameters with these names."""
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(value)


def set_by_shape(model: nn.Module, values: list[Tensor]) -> bool:
    """Write each value into the one parameter of its shape (or of the transposed shape).

    False, and nothing written, when that is not possible.
    """
    own = list(model.parameters())
    found = []
    for value in values:
        straight = [p for p in own if p.shape == value.shape]
        turned = [p for p in own if value.ndim == 2 and p.shape == value.T.shape]
        if len(straight) == 1:
            found.append((straight[0], value))
        elif not straight and len(turned) == 1:
            found.append((turned[0], value.T))
        else:
            return False
    with torch.no_grad():
        for p, value in found:
            p.copy_(value)
    return len(own) == len(found)


def scale(model: nn.Module, factor: float) -> None:
    """Multiply every parameter by this factor."""
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(factor)


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """An nn.Linear with these numbers."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


class _Tied(nn.Module):
    """Two layers with one weight, as in language models."""

    def __init__(self, i: int, h: int) -> None:
        super().__init__()
        self.there = nn.Linear(i, h)
        self.back = nn.Linear(h, i)
        self.back.weight = nn.Parameter(torch.zeros(h, i))
        self.back.weight = self.there.weight


class _Scaled(nn.Module):
    """A parameter of its own, a 0-d one, and a child."""

    def __init__(self, i: int, h: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.table = nn.Parameter(torch.zeros(2, i, h))
        self.inner = nn.Sequential(nn.Linear(i, h), nn.Sequential(nn.ReLU(), nn.Linear(h, i)))


def model_named(kind: str, i: int, h: int, o: int) -> nn.Module:
    """A model for counting."""
    if kind == "mlp":
        return nn.Sequential(nn.Linear(i, h), nn.GELU(), nn.Linear(h, o))
    if kind == "linear":
        return nn.Linear(i, o)
    if kind == "no bias":
        return nn.Linear(i, h, bias=False)
    if kind == "nested":
        return _Scaled(i, h)
    if kind == "empty":
        return nn.Sequential(nn.ReLU(), nn.Flatten())
    if kind == "frozen layer":
        model = nn.Sequential(nn.Linear(i, h), nn.GELU(), nn.Linear(h, o))
        model[0].requires_grad_(False)
        return model
    if kind == "frozen weight":
        layer = nn.Linear(i, o)
        layer.weight.requires_grad_(False)
        return layer
    if kind == "all frozen":
        return nn.Linear(i, o).requires_grad_(False)
    if kind == "same layer twice":
        layer = nn.Linear(h, h)
        return nn.Sequential(nn.Linear(i, h), layer, nn.ReLU(), layer)
    if kind == "tied":
        return _Tied(i, h)
    if kind == "batch norm":
        return nn.Sequential(nn.Linear(i, h), nn.BatchNorm1d(h), nn.Linear(h, o))
    raise LookupError(kind)


def layer_count(model: nn.Module) -> int:
    """How many layers with weights are among the attributes of the model, registered or not."""
    found: set[int] = set()

    def look(value: Any, depth: int) -> None:
        if isinstance(value, nn.Module):
            if any(True for _ in value.parameters(recurse=False)):
                found.add(id(value))
            for child in vars(value).values():
                look(child, depth + 1) if depth < 4 else None
        elif isinstance(value, (list, tuple)):
            for item in value:
                look(item, depth + 1) if depth < 4 else None
        elif isinstance(value, dict):
            for item in value.values():
                look(item, depth + 1) if depth < 4 else None

    look(model, 0)
    return len(found)


# ---------------------------------------------------------------- a classifier that takes notes

_SEEN: list[list[bool]] = []


class _Recorder(nn.Module):
    """Scores x W^T. Notes for each call: training mode, that of its child, whether a graph is built."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())
        self.child = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.child(x @ self.weight.T)
        _SEEN.append([self.training, self.child.training, scores.requires_grad])
        return scores


def recorder(weight: Tensor, training: bool) -> nn.Module:
    """A classifier with these weights, in training or eval mode, that begins its notes anew."""
    _SEEN.clear()
    return _Recorder(weight).train(training)


def seen() -> list[list[bool]]:
    """The notes since the last recorder was made, copies of it included."""
    return [list(row) for row in _SEEN]


def training_modes(model: nn.Module) -> list[bool]:
    """``training`` of the model and of all its parts."""
    return [part.training for part in model.modules()]
