"""Runs of ``fit`` and ``evaluate`` with the spies of ``probes``, read with care and put in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.checks import assert_finite, assert_keys, assert_shape, assert_type, fail

from . import reference

__all__ = [
    "FALLING",
    "SLIDE",
    "Call",
    "Forward",
    "Layer",
    "Log",
    "Pair",
    "Step",
    "data",
    "epochs_of",
    "gives_log_probabilities",
    "layer",
    "loss_of",
    "near",
    "read",
    "run_fit",
    "series",
]

SLIDE = "01.09 Classification: step 4, early stopping"
FALLING = tuple(1.0 - 0.05 * k for k in range(12))
"""Validation losses that improve in every epoch."""
Pair = tuple[Tensor, Tensor]
"""X (N, 784) float32, y (N,) int64."""


@dataclass(frozen=True)
class Layer:
    """The spy model: scores x @ weight.T + bias, plus mood in training mode; or their log-softmax."""

    weight: Tensor
    bias: Tensor
    mood: Tensor
    logs: bool

    @property
    def arguments(self) -> list[Any]:
        return [self.weight, self.bias, self.mood, self.logs]

    def scores(self, X: Tensor, flat: Tensor | None = None, training: bool = False) -> Tensor:
        """float64 scores (N, 10) with the parameters in ``flat`` (7850,), or its own."""
        if flat is None:
            flat = torch.cat([self.weight.flatten(), self.bias])
        flat = flat.double()
        z = X.double() @ flat[:-10].reshape(10, 784).T + flat[-10:]
        if training:
            z = z + self.mood.double()
        return torch.log_softmax(z, dim=1) if self.logs else z


@dataclass(frozen=True)
class Forward:
    """A call of the model. Training rows count from 0, rows of the validation set are -1, -2, …"""

    rows: tuple[int, ...]
    training: bool
    grad: bool
    weights: Tensor | None

    @property
    def of_val(self) -> bool:
        return bool(self.rows) and all(row < 0 for row in self.rows)


@dataclass(frozen=True)
class Step:
    """A step of an optimizer; ``weights`` and ``grad`` (7850,) before it, None if they were not asked for."""

    weights: Tensor | None
    grad: Tensor | None


@dataclass(frozen=True)
class Call:
    """A call of the ``evaluate`` passed in, on "val", "train", "other" or "early" (before training)."""

    what: str
    weights: Tensor
    loss: float


@dataclass(frozen=True)
class Load:
    """A call of load_state_dict."""


@dataclass(frozen=True)
class Log:
    """One run of the student's ``fit``, events in order."""

    history: Any
    events: tuple[Forward | Step | Call | Load, ...]
    start: Tensor
    weights: Tensor
    same: bool

    @property
    def steps(self) -> list[Step]:
        return [event for event in self.events if isinstance(event, Step)]

    @property
    def forwards(self) -> list[Forward]:
        return [event for event in self.events if isinstance(event, Forward)]

    @property
    def calls(self) -> list[Call]:
        return [event for event in self.events if isinstance(event, Call)]

    @property
    def val_calls(self) -> list[Call]:
        return [call for call in self.calls if call.what == "val"]

    @property
    def loaded(self) -> bool:
        return any(isinstance(event, Load) for event in self.events)

    def batches(self) -> list[tuple[Forward, Step]]:
        """Each step with the last forward before it; a step without one is left out."""
        found: list[tuple[Forward, Step]] = []
        last: Forward | None = None
        for event in self.events:
            if isinstance(event, Forward) and event.grad:
                last = event
            elif isinstance(event, Step):
                if last is not None:
                    found.append((last, event))
                last = None
        return found


def layer(draw: Any, logs: bool = True, zero: bool = False) -> Layer:
    """A spy model's numbers; ``zero``: all of them 0."""
    weight, bias, mood = draw.tensors().of("10 784", "10", "10")
    weight = 0.02 * weight
    if zero:
        weight, bias, mood = 0 * weight, 0 * bias, 0 * mood
    return Layer(weight, bias, mood, logs)


def data(draw: Any, n: int, m: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Training and validation pairs of n and m samples; the first pixel is the number of the row."""
    X, X_val = draw.tensors(n=n, m=m).of("n 784", "m 784")
    X[:, 0] = torch.arange(n) / 100
    X_val[:, 0] = -(1 + torch.arange(m)) / 100
    return (X, draw.integers(0, 10, (n,))), (X_val, draw.integers(0, 10, (m,)))


def run_fit(
    student: Any,
    model: Layer,
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    *,
    curve: Sequence[float] | None,
    steps: bool = False,
    silent: str = "no_forward",
    **settings: Any,
) -> Log:
    """One run of the student's ``fit``; the mistake ``silent`` where the model was never called in it."""
    seen = student.probe(
        "spied_fit",
        student.fit,
        model.arguments,
        list(train),
        list(val),
        settings,
        None if curve is None else list(curve),
        steps,
        called=f"fit(model, train, val, {', '.join(f'{name}={value}' for name, value in settings.items())})",
    )
    log = read(seen)
    if not log.forwards:
        fail("fit never called the model.", silent, slide=SLIDE)
    return log


def read(seen: Any) -> Log:
    """The log of a run."""
    try:
        events = tuple(_event(event) for event in seen["events"])
        return Log(
            seen["history"], events, _vector(seen["start"]), _vector(seen["weights"]), seen["same"] is True
        )
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
        fail("The function disturbed the model or the data that it was given.", slide=SLIDE)


def _event(event: dict[str, Any]) -> Forward | Step | Call | Load:
    kind = event["kind"]
    if kind == "forward":
        weights = event.get("weights")
        return Forward(
            tuple(int(row) for row in event["rows"]),
            event["training"] is True,
            event["grad"] is True,
            None if weights is None else _vector(weights),
        )
    if kind == "step":
        detailed = "grad" in event
        return Step(
            _vector(event["weights"]) if detailed else None, _vector(event["grad"]) if detailed else None
        )
    if kind == "evaluate":
        return Call(str(event["what"]), _vector(event["weights"]), float(event["loss"]))
    if kind == "load":
        return Load()
    raise ValueError(kind)


def _vector(value: Any) -> Tensor:
    if type(value) is not Tensor or value.shape != (7850,):
        raise TypeError("not the vector of all parameters")
    return value.detach().double()


def near(a: Tensor, b: Tensor, rtol: float = 1e-3) -> bool:
    """Equal but for rounding, measured against the largest number."""
    if a.shape != b.shape or not bool(torch.isfinite(a).all() and torch.isfinite(b).all()):
        return False
    scale = float(torch.maximum(a.abs().max(), b.abs().max()))
    return bool((a - b).abs().max() <= rtol * scale + 1e-7)


def epochs_of(log: Log, n: int, batch_size: int) -> int:
    """How many epochs were trained on n samples, by the steps; a short last batch may be left out."""
    sizes = [len(batch.rows) for batch, _ in log.batches()]
    whole = n >= batch_size and all(size == batch_size for size in sizes)
    return -(-len(sizes) // (n // batch_size if whole else -(-n // batch_size)))


def gives_log_probabilities(student: Any) -> bool:
    """Whether the student's own MLP ends in log_softmax, so that nll_loss fits it."""
    try:
        model = student.MLP.keep()
        model.eval()
        got = model(torch.linspace(-1, 1, 3 * 784).reshape(3, 784))
        return type(got) is Tensor and bool(
            torch.allclose(got.detach().logsumexp(dim=1), torch.zeros(3), atol=1e-4)
        )
    except (AssertionError, AttributeError, IndexError, RuntimeError, TypeError):
        return False


def loss_of(model: Layer, pair: tuple[Tensor, Tensor], flat: Tensor | None, training: bool = False) -> float:
    """Cross-entropy of the spy model."""
    return float(reference.cross_entropy(model.scores(pair[0], flat, training), pair[1]))


def series(history: Any, key: str, called: str) -> list[float]:
    """One list of the history, as numbers."""
    name = f'history["{key}"]'
    assert_type(history, dict, name="the result of fit", slide=SLIDE, expected="a dict with two lists")
    assert_keys(history, ("train_loss", "val_loss"), name="the result of fit", slide=SLIDE)
    values = history[key]
    if type(values) in (Tensor, np.ndarray) and values.ndim == 1:
        values = list(values)
    assert_type(values, (list, tuple), name=name, slide=SLIDE, expected="a list of floats, one an epoch")
    numbers = []
    for item in values:
        if type(item) is Tensor and item.requires_grad:
            fail(f"An entry of {name} carries its graph.", "keeps_graph", called=called, slide=SLIDE)
        assert_shape(item, (), name=f"an entry of {name}", slide=SLIDE, hint="loss.item()")
        assert_finite(item, name=f"an entry of {name}", slide=SLIDE)
        numbers.append(float(item))
    return numbers
