"""What the checks of exercise 2 share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.checks import CheckFailed, assert_shape, assert_true, assert_type

__all__ = [
    "AUTODIFF",
    "BACKPROP",
    "MOTIVATION",
    "about",
    "as_list",
    "expect_scene",
    "number",
    "parts",
    "real",
    "same_bits",
    "simple",
    "tensor",
    "watched",
]

AUTODIFF = "01.05 Automatic Differentiation"
BACKPROP = "01.05 Automatic Differentiation (backpropagation)"
MOTIVATION = "01.05 Automatic Differentiation (gradient descent)"


def tensor(value: Any, shape: Sequence[int], *, name: str, slide: str, **why: Any) -> Tensor:
    """``value`` if it is a plain tensor of this shape; fails by name otherwise."""
    assert_type(value, Tensor, name=name, slide=slide)
    assert_shape(value, tuple(shape), name=name, slide=slide, **why)
    return value  # type: ignore[no-any-return]


def number(value: Any, *, name: str, slide: str, **why: Any) -> Any:
    """``value`` if it is one number: a Python or numpy number or a 0-d tensor."""
    if type(value) is np.ndarray and value.shape == ():
        return value
    kinds = (float, int, Tensor)
    assert_type(value, kinds, name=name, slide=slide, expected="one number, as 3.0 or tensor(3.)", **why)
    assert_shape(value, (), name=name, slide=slide, **why)
    return value


def parts(value: Any, names: Sequence[str], *, name: str, slide: str, **why: Any) -> list[Any]:
    """The parts of a returned tuple (a list is right too)."""
    wanted = f"a tuple ({', '.join(names)})"
    assert_type(value, (tuple, list), name=name, slide=slide, expected=wanted, **why)
    assert_true(
        len(value) == len(names),
        f"{name} returned {len(value)} values, {len(names)} are asked for.",
        expected=wanted,
        slide=slide,
        **why,
    )
    return list(value)


def watched(student: Any, probe: str, function: str, *args: Any, shown: Sequence[Any]) -> Any:
    """``probe(function, *args)`` of ``probes.py``; messages speak of the student's function and ``shown``."""
    target = student.get(function)
    try:
        return student.probe(probe, target, *args)
    finally:
        if student.calls:
            student.last.name, student.last.args = f"Your {function}", list(shown)


@contextlib.contextmanager
def about(record: Any) -> Iterator[None]:
    """What fails in here is about this call, not about the last one."""
    try:
        yield
    except CheckFailed as failed:
        called = failed.explanation.called or record.describe()
        failed.explanation = replace(failed.explanation, called=called)
        raise


def expect_scene(scene: Any, keys: Sequence[str]) -> dict[str, Any]:
    """What a probe gives, unless somebody in the sandbox got in its way."""
    ok = type(scene) is dict and all(key in scene for key in keys)
    assert_true(
        ok, "The call could not be observed: something in the notebook changes torch or Python itself."
    )
    return scene  # type: ignore[no-any-return]


def as_list(value: Any, count: int) -> list[Any]:
    """A list of ``count`` values of a probe; likewise."""
    ok = type(value) in (list, tuple) and len(value) == count
    assert_true(
        ok, "The call could not be observed: something in the notebook changes torch or Python itself."
    )
    return list(value)


def simple(value: Any) -> Any:
    """Numbers, however they are wrapped, as floats; anything else by the name of its type."""
    if type(value) in (tuple, list):
        return [simple(item) for item in value]
    if isinstance(value, (int, float, np.floating, np.integer)):
        return (
            float(value) if value != value or abs(value) < 1e300 else (math.inf if value > 0 else -math.inf)
        )
    if type(value) is np.ndarray and value.size == 1 and value.dtype.kind in "iuf":
        return float(value.item())
    if type(value) is Tensor and value.numel() == 1 and not value.is_meta and not value.is_complex():
        return float(value.detach())
    return type(value).__name__


def real(value: Any) -> float:
    """``value`` as a float, NaN where it is none (complex, on the meta device)."""
    found = simple(value)
    return found if type(found) is float else math.nan


def same_bits(got: Any, sent: Tensor) -> bool:
    """``got`` is ``sent`` again; a difference in the last digits (put back by + eps − eps) is forgiven."""
    if type(got) is not torch.Tensor or got.shape != sent.shape or got.is_meta or got.dtype != sent.dtype:
        return False
    return torch.allclose(got.detach(), sent.detach(), rtol=1e-12, atol=1e-12)
