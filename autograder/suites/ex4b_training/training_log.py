"""What the spies of ``probes.spied_training`` wrote down, read with care and put in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autograder.checks import fail

__all__ = ["SLIDE", "Batch", "Log", "Step", "Word", "near", "probed", "read", "total"]

SLIDE = "01.08 Optimizer: the training loop"


class Word:
    """An argument that a message shows by its name, because it lives in the sandbox: ``model``."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def probed(student: Any, probe: str, function: str, *args: Any, shown: Sequence[Any], **more: Any) -> Any:
    """``probe(function, *args)`` of ``probes.py``; messages speak of ``function(*shown, **more)``."""
    target = student.get(function)
    try:
        return student.probe(probe, target, *args)
    finally:
        if student.calls:
            call = student.last
            call.name, call.args, call.kwargs = function, list(shown), more


@dataclass(frozen=True)
class Batch:
    """A loss that backward ran on. ``fresh``: the gradient of this batch alone, (P,)."""

    rows: tuple[int, ...]
    shapes: tuple[Any, Any]
    swapped: bool
    off: float
    value: float
    fresh: Tensor
    scale: float
    training: bool


@dataclass(frozen=True)
class Step:
    """One step with the backwards since the one before. ``grad`` and ``weights``: (P,), before the step."""

    batches: tuple[Batch, ...]
    grad: Tensor
    empty: bool
    weights: Tensor


@dataclass(frozen=True)
class Log:
    """One run of the student's ``train``. ``kinds`` counts the events by kind."""

    history: Any
    batches: tuple[Batch, ...]
    steps: tuple[Step, ...]
    left_over: int
    kinds: dict[str, int]
    weights: Tensor
    data_same: bool


def read(seen: Any) -> Log:
    """The log of a run in which at least one batch was trained on; fails by name otherwise."""
    try:
        log = _read(seen)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        fail("train disturbed the model, the loss or the optimizer that it was given.", slide=SLIDE)
    for kind, mistake in (("forward", "no_forward"), ("loss", "no_loss"), ("backward", "no_backward")):
        if not log.kinds.get(kind):
            what = {"forward": "model", "loss": "loss_fn", "backward": "backward of the loss"}[kind]
            fail(f"{what} was never called.", mistake=mistake, slide=SLIDE)
    return log


def _read(seen: Any) -> Log:
    losses: dict[int, dict[str, Any]] = {}
    kinds: dict[str, int] = {}
    batches: list[Batch] = []
    steps: list[Step] = []
    since: list[Batch] = []
    training = True
    for event in seen["events"]:
        kind = event["kind"]
        kinds[kind] = kinds.get(kind, 0) + 1
        if kind == "forward":
            training = event["training"] is True
        elif kind == "loss":
            losses[int(event["number"])] = {**event, "training": training}
        elif kind == "backward":
            batch = _batch(losses[int(event["number"])], float(event["scale"]))
            batches.append(batch)
            since.append(batch)
        elif kind == "step":
            steps.append(
                Step(tuple(since), _vector(event["grad"]), event["empty"] is True, _vector(event["weights"]))
            )
            since = []
    same = seen["X_same"] is True and seen["y_same"] is True
    return Log(
        seen["history"], tuple(batches), tuple(steps), len(since), kinds, _vector(seen["weights"]), same
    )


def _batch(event: dict[str, Any], scale: float) -> Batch:
    return Batch(
        rows=tuple(int(row) for row in event["rows"]),
        shapes=(tuple(event["shapes"][0]), tuple(event["shapes"][1])),
        swapped=event["swapped"] is True,
        off=float(event["off"]),
        value=float(event["value"]),
        fresh=_vector(event["fresh"]),
        scale=scale,
        training=event["training"],
    )


def _vector(value: Any) -> Tensor:
    if type(value) is not Tensor or value.ndim != 1:
        raise TypeError("not a vector")
    return value.detach().double()


def near(a: Tensor, b: Tensor, size: float | None = None) -> bool:
    """Equal but for rounding in float32, measured against ``size`` (default: the larger of the two)."""
    if a.shape != b.shape:
        return False
    scale = float(torch.maximum(a.abs().max(), b.abs().max())) if size is None else size
    return bool((a - b).abs().max() <= 1e-4 * scale + 1e-6)


def total(batches: Sequence[Batch]) -> Tensor:
    """The sum of the gradients of ``batches``."""
    return torch.stack([batch.fresh for batch in batches]).sum(dim=0)
