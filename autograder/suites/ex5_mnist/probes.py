"""Fake fetchers, spy models and scripted validation curves. They run beside the student's code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["digits", "evaluated", "loaded", "spied_fit", "trained"]

_MAX_BYTES = 4 << 20


# ---------------------------------------------------------------- load_mnist


def loaded(load: Callable[..., Any], pixels: Any, names: Any) -> dict[str, Any]:
    """Call ``load`` with a fetcher that knows ``pixels`` (N, 784) and ``names``, N texts."""
    from sklearn.utils import Bunch

    calls: list[dict[str, Any]] = []

    def fetch_openml(
        name: str | None = None,
        *,
        version: Any = "active",
        data_id: int | None = None,
        data_home: Any = None,
        target_column: Any = "default-target",
        cache: bool = True,
        return_X_y: bool = False,
        as_frame: Any = "auto",
        n_retries: int = 3,
        delay: float = 1.0,
        parser: str = "auto",
    ) -> Any:
        frame = as_frame is not False
        calls.append({"name": name, "version": version, "data_id": data_id, "frame": frame})
        data, target = pixels.copy(), np.array(names, dtype=object)
        if frame:
            import pandas

            columns = [f"pixel{number + 1}" for number in range(data.shape[1])]
            data = pandas.DataFrame(data, columns=columns)
            target = pandas.Series(target, name="class", dtype="category")
        if return_X_y:
            return data, target
        return Bunch(
            data=data,
            target=target,
            frame=None,
            categories=None,
            feature_names=[f"pixel{number + 1}" for number in range(pixels.shape[1])],
            target_names=["class"],
            DESCR="a few made-up digits",
            details={},
            url="",
        )

    value = load(fetch_openml)
    if not calls:
        return {"calls": [], "value": None}
    plain = [{key: _plain(item) for key, item in call.items()} for call in calls]
    return {"calls": plain, "value": _small(value)}


def _plain(value: Any) -> Any:
    return value if value is None or type(value) in (bool, int, float, str) else str(value)[:100]


def _small(value: Any) -> Any:
    """``value``, but whole data sets stay here."""
    items = value if type(value) in (list, tuple) else [value]
    if any(isinstance(item, np.ndarray) and item.nbytes > _MAX_BYTES for item in items):
        return "a whole data set"
    return value


# ---------------------------------------------------------------- fit and evaluate


class Reader(nn.Module):
    """A linear classifier with a mood: in training mode its scores are others, as with dropout.

    ``logs``: the scores are log-probabilities. Every forward is noted: which rows (by their first number),
    in which mode, with gradients or without.
    """

    def __init__(self, weight: Any, bias: Any, mood: Any, logs: bool, events: list[Any]) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        self.register_buffer("mood", mood.clone())
        self.logs, self.events = logs, events

    def forward(self, x: Any) -> Any:
        """Scores (N, 10) of x (N, 784)."""
        x = x.reshape(len(x), -1)
        rows = x[:, 0].detach().double().mul(100).round().long().tolist()
        event = {"kind": "forward", "rows": rows, "training": self.training, "grad": torch.is_grad_enabled()}
        if all(row < 0 for row in rows):  # rows of the validation set
            event["weights"] = _flat(self)
        self.events.append(event)
        scores = x @ self.weight.T + self.bias
        if self.training:
            scores = scores + self.mood
        return torch.log_softmax(scores, dim=1) if self.logs else scores

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As inherited, and noted."""
        self.events.append({"kind": "load"})
        return super().load_state_dict(*args, **kwargs)


def _flat(model: Any) -> Any:
    return torch.cat([p.detach().clone().flatten() for p in (model.weight, model.bias)])


def _flat_grad(model: Any) -> Any:
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in (model.weight, model.bias)]
    return torch.cat([grad.detach().clone().flatten() for grad in grads])


def spied_fit(
    fit: Callable[..., Any],
    layer: Any,
    train: Any,
    val: Any,
    settings: dict[str, Any],
    curve: Any,
    steps: bool,
) -> dict[str, Any]:
    """Call ``fit`` with a spy model; what happened, in order, as data.

    :param layer: weight (10, 784), bias (10,), mood (10,), and whether the scores are log-probabilities.
    :param settings: the keyword arguments of ``fit``.
    :param curve: validation losses that ``evaluate`` gives out, one an epoch; None: no ``evaluate``.
    :param steps: note gradients and weights at each step of an optimizer.
    """
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    events: list[Any] = []
    spy = Reader(*layer, events)
    spy.eval()
    start = _flat(spy)
    X_train, y_train = train[0].clone(), train[1].clone()
    X_val, y_val = val[0].clone(), val[1].clone()
    given = 0

    def evaluate(model: Any, X: Any, y: Any) -> dict[str, Any]:
        """The next loss of the script; the accuracy never improves."""
        nonlocal given
        weights = _flat(spy)
        spy.eval()
        same = model is spy
        if same and _is_same(X, X_train) and _is_same(y, y_train):
            loss, what = 1.0, "train"
        elif not (same and _is_same(X, X_val) and _is_same(y, y_val)):
            loss, what = 1.0, "other"
        elif not any(event["kind"] == "forward" for event in events):
            loss, what = curve[0] + 1.0, "early"  # before any training: it is no epoch
        else:
            loss, what = curve[min(given, len(curve) - 1)], "val"
            given += 1
        events.append({"kind": "evaluate", "what": what, "weights": weights, "loss": loss})
        return {"loss": loss, "accuracy": 0.5, "confusion": torch.zeros(10, 10, dtype=torch.int64)}

    def note_step() -> None:
        event: dict[str, Any] = {"kind": "step"}
        if steps:
            event |= {"weights": _flat(spy), "grad": _flat_grad(spy)}
        events.append(event)

    def before_step(optimizer: Any, args: Any, kwargs: Any) -> Any:
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            note_step()
            return None
        calls = 0

        def noted() -> Any:
            """The closure, which computes the gradients: only then the step has them."""
            nonlocal calls
            value = closure()
            calls += 1
            if calls == 1:
                note_step()
            return value

        return (args[0], noted, *args[2:]), {key: kwargs[key] for key in kwargs if key != "closure"}

    if curve is not None:
        settings = {**settings, "evaluate": evaluate}
    hook = register_optimizer_step_pre_hook(before_step)
    try:
        history = fit(spy, (X_train, y_train), (X_val, y_val), **settings)
    finally:
        hook.remove()
    return {
        "history": _bare(history),
        "events": list(events),
        "start": start,
        "weights": _flat(spy),
        "same": all(
            bool(torch.equal(mine, theirs)) and not mine.requires_grad
            for mine, theirs in zip((X_train, y_train, X_val, y_val), (*train, *val), strict=True)
        ),
    }


def _is_same(a: Any, b: Any) -> bool:
    return isinstance(a, torch.Tensor) and a.shape == b.shape and bool(torch.equal(a, b))


def _bare(history: Any) -> Any:
    """A dict of any kind as a plain one."""
    if isinstance(history, dict):
        return {
            str(key): list(value) if isinstance(value, tuple) else value for key, value in history.items()
        }
    return history


def evaluated(evaluate: Callable[..., Any], layer: Any, X: Any, y: Any, training: bool) -> dict[str, Any]:
    """Call ``evaluate`` with a spy model that is in training mode if ``training``."""
    events: list[Any] = []
    model = Reader(*layer, events)
    model.train(training)
    before, X_, y_ = _flat(model), X.clone(), y.clone()
    value = evaluate(model, X_, y_)
    return {
        "value": _bare(value),
        "events": list(events),
        "weights_same": bool(torch.equal(_flat(model), before)),
        "data_same": bool(torch.equal(X, X_)) and bool(torch.equal(y, y_)),
    }


# ---------------------------------------------------------------- real digits


def digits() -> Any:
    """The served digits, shuffled and scaled: (X (N, 784) float32, y (N,) int64) as tensors."""
    from sklearn.datasets import fetch_openml

    X, y = fetch_openml.scaled_mnist()  # type: ignore[attr-defined]  # the data service's own
    return torch.from_numpy(X), torch.from_numpy(y)


def trained(MLP: Callable[..., Any], fit: Callable[..., Any], data: Any, seed: int, epochs: int) -> Any:
    """A network of the student's, trained by the student's ``fit`` on nine tenths of ``data``."""
    X, y = data
    n = len(X) * 9 // 10
    torch.manual_seed(seed)
    model = MLP()
    fit(model, (X[:n], y[:n]), (X[n:], y[n:]), epochs=epochs, patience=epochs, seed=seed)
    model.eval()
    return model
