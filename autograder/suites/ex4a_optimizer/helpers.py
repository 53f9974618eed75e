"""Running a student's optimizer through a scenario and comparing its path with PyTorch's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autograder.checks import (
    CheckFailed,
    assert_close,
    assert_dtype,
    assert_finite,
    assert_keys,
    assert_length,
    assert_shape,
    assert_type,
    fail,
    observe,
    same,
)

from . import probes, reference
from .rules import STANDARD

__all__ = [
    "SLIDE",
    "Scene",
    "assert_gradients_kept",
    "assert_standard",
    "assert_zeroed",
    "compare_path",
    "scene",
    "training_net",
]

SLIDE = "01.08 Optimizer"
CLASSES = {
    "my_sgd": "MySGD",
    "my_momentum": "MyMomentum",
    "my_rmsprop": "MyRMSProp",
    "my_adam": "MyAdam",
    "my_adamw": "MyAdamW",
}
READY_MADE = [f"torch.optim.{name}.{name}" for name in ("sgd", "rmsprop", "adam", "adamw")]


@dataclass(frozen=True)
class Scene:
    """What the student's class did, what PyTorch's does (results of one probe), and how it was called."""

    seen: dict[str, Any]
    right: dict[str, Any]
    called: str


def scene(student: Any, task: str, probe: str, *args: Any, options: Mapping[str, Any], **more: Any) -> Scene:
    """Run ``probe`` with the student's class (PyTorch's own being out of reach) and with the oracle.

    :raises CheckFailed: what came back has not the form of a result.
    """
    name = CLASSES[task]
    make = student.get(name)
    called = f"{name}(params, {', '.join(f'{key}={value}' for key, value in options.items())})"
    values = {"options": dict(options), **more}
    with ExitStack() as stack:
        for path in READY_MADE:
            stack.enter_context(
                student.patch(path, raises="ready-made optimizers are switched off in this task")
            )
        seen = student.probe(probe, make, *args, called=called, **values)
        if _has_nan(seen):
            _assert_memory_filled(student, called, lambda: student.probe(probe, make, *args, **values))

    def by(implementation: Any) -> Any:
        return getattr(probes, probe)(implementation, *args, **values)

    right = by(getattr(reference, task))
    assert_type(seen, dict, name=name, slide=SLIDE)
    assert_keys(seen, right, name=name, slide=SLIDE)
    if "path" in right:
        observe(task, seen["path"], by=lambda implementation: by(implementation)["path"])
    return Scene(seen, right, called)


def _has_nan(seen: Any) -> bool:
    path = seen.get("path") if type(seen) is dict else None
    items = _flat(path) if type(path) is list else []
    return any(type(item) is Tensor and bool(item.isnan().any()) for item in items)


def _assert_memory_filled(student: Any, called: str, again: Callable[[], Any]) -> None:
    """The nan does not come from memory that was asked for (``torch.empty``) and never filled."""
    with (
        student.patch("torch.empty_like", value=student.remote("torch.zeros_like")),
        student.patch("torch.empty", value=student.remote("torch.zeros")),
    ):
        if not _has_nan(again()):
            fail(
                "Parameters become nan: a memory was never filled.",
                called=called,
                expected="zeros before the first step",
                got="what torch.empty hands out: any numbers, here nan",
                slide=SLIDE,
                mistake="memory_not_filled",
            )


def _flat(path: Any) -> list[Any]:
    return [item for row in path for item in (row if type(row) is list else [row])]


def compare_path(
    found: Scene,
    labels: Sequence[str],
    *,
    sizes: Sequence[int] = (),
    reveal: bool = False,
    hint: str = "",
    rough: bool = False,
) -> None:
    """The parameters after each step are PyTorch's. ``sizes`` splits one vector per step into parameters.

    ``rough``: a path that agrees as far as float32 goes means that there is float32 inside.
    """
    path, right = found.seen["path"], found.right["path"]
    assert_type(path, list, name="the parameters", slide=SLIDE)
    if sizes and len(path) < len(right):
        fail(
            f"After step {max(len(path) - 1, 0)} the loss does not depend on any parameter.",
            called=found.called,
            slide=SLIDE,
            mistake="grad_switched_off",
        )
    assert_length(path, len(right), name="the list of parameters", slide=SLIDE)
    if same(path, right):
        return
    rough = rough and _almost(path, right)
    for k, (row, wanted) in enumerate(zip(path, right, strict=True)):
        when = f"after step {k}" if k else "before the first step"
        if sizes:
            _plain(row, wanted, f"all parameters {when}")
            row, wanted = list(row.split(list(sizes))), list(wanted.split(list(sizes)))
        assert_type(row, list, name=f"the parameters {when}", slide=SLIDE)
        assert_length(row, len(wanted), name=f"the parameters {when}", slide=SLIDE)
        for label, got, expected in zip(labels, row, wanted, strict=True):
            name = f"{label} {when}"
            _plain(got, expected, name)
            words: dict[str, Any] = {"name": name, "hint": hint, "slide": SLIDE}
            if rough:
                words["mistake"] = "float32_inside"
            try:
                assert_close(got, expected, reveal=reveal, **words)
            except CheckFailed as failure:
                raise _with_call(failure, found.called) from None


def _plain(got: Any, expected: Tensor, name: str) -> None:
    assert_type(got, torch.Tensor, name=name, slide=SLIDE)
    dtype = str(expected.dtype).removeprefix("torch.")
    assert_dtype(got, dtype, name=name, hint="A step keeps the dtype of a parameter.", slide=SLIDE)
    assert_shape(got, tuple(expected.shape), name=name, hint="A step keeps the shape.", slide=SLIDE)


def _almost(path: Any, right: Any) -> bool:
    """float64 that agrees with the oracle as far as float32 goes, and no further."""
    tensors = [item for item in _flat(right) if isinstance(item, Tensor)]
    return all(t.dtype == torch.float64 for t in tensors) and same(path, right, rtol=1e-5, atol=1e-6)


def _with_call(failure: CheckFailed, called: str) -> CheckFailed:
    from dataclasses import replace

    explanation = replace(failure.explanation, called=called)
    return CheckFailed(explanation, mistake=failure.mistake, fields=failure.fields)


def assert_gradients_kept(found: Scene, before: Any, after: Any) -> None:
    """The gradients after each step are bit by bit those before it."""
    if same(after, before, rtol=0.0, atol=0.0):
        return
    rows = after if type(after) is list else []
    cleared = any(_cleared(row, sent) for row, sent in zip(rows, before, strict=False))
    fail(
        "The gradients after step are not those before step.",
        called=found.called,
        expected="p.grad as backward left it",
        got="p.grad is None or 0" if cleared else "other numbers in p.grad",
        slide=SLIDE,
        mistake="clears_gradients" if cleared else "changes_gradients",
    )


def _cleared(row: Any, sent: Any) -> bool:
    """None or zero where a gradient was: in a list of gradients, or in all gradients as one vector."""
    if isinstance(sent, Tensor):
        return isinstance(row, Tensor) and (row.numel() < sent.numel() or not bool(row.any()))
    pairs = zip(row, sent, strict=False) if type(row) is list else ()
    return any(
        g is not None and (new is None or (isinstance(new, Tensor) and not bool(new.any()) and bool(g.any())))
        for new, g in pairs
    )


def assert_standard(found: Scene, task: str) -> None:
    """The group holds the default values of the card for what the constructor was not given.

    A group may hold more, and may name its values otherwise: then the path tells.
    """
    group = found.seen["group"]
    for key, wanted in STANDARD[task].items():
        got = group.get(key) if type(group) is dict else None
        got = tuple(got) if type(got) is list else got
        if type(got) in (int, float, tuple) and got != wanted:
            fail(
                f"The default of {key} is {got}, not {wanted}.",
                called=found.called,
                expected=f"{key}={wanted}, as in the signature on the card",
                got=f"{key}={got}",
                slide=SLIDE,
                mistake="other_defaults",
            )


def assert_zeroed(found: Scene) -> None:
    """zero_grad left None or zeros."""
    rows = found.seen["zeroed"]
    values = [g for row in (rows if type(rows) is list else []) for g in (row if type(row) is list else [])]
    for g in values:
        if isinstance(g, Tensor):
            assert_finite(g, name="p.grad after zero_grad()", slide=SLIDE)
            if bool(g.any()):
                fail(
                    "After zero_grad() a gradient is still there.",
                    called=found.called,
                    slide=SLIDE,
                    mistake="gradients_not_zeroed",
                )


LAYERS = {"a": (7, 3), "c": (7, 7), "d": (7, 7), "b": (4, 7), "frozen": (4, 4)}


def training_net(draw: Any) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Weights of a net 3 → 7 → 7 → 7 → 4 → 4 (the last layer frozen), inputs (5, 3), targets (5, 4); float64.

    c and d have the same shape: a memory that is kept by shape is shared between them.
    """
    weights = {}
    for layer, (out, into) in LAYERS.items():
        pair = draw.tensors(dtype="float64", low=-0.7, high=0.7, o=out, i=into).of(
            f"{layer}_weight: o i", f"{layer}_bias: o"
        )
        weights[f"{layer}.weight"], weights[f"{layer}.bias"] = pair
    X, Y = draw.tensors(dtype="float64", n=5, i=3, o=4).of("X: n i", "Y: n o")
    return weights, X, Y
