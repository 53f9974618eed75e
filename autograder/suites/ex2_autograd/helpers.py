"""What the checks of exercise 2 share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.checks import assert_shape, assert_true, assert_type

__all__ = ["AUTODIFF", "BACKPROP", "MOTIVATION", "number", "parts", "same_bits", "simple", "tensor"]

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


def simple(value: Any) -> Any:
    """Numbers, however they are wrapped, as floats; anything else by the name of its type."""
    if type(value) in (tuple, list):
        return [simple(item) for item in value]
    if isinstance(value, (int, float, np.number)):
        return float(value)
    if type(value) is Tensor and value.numel() == 1 and not value.is_meta and not value.is_complex():
        return float(value.detach())
    return type(value).__name__


def same_bits(got: Any, sent: Tensor) -> bool:
    """``got`` is ``sent`` again; a difference in the last digits (put back by + eps − eps) is forgiven."""
    if type(got) is not torch.Tensor or got.shape != sent.shape or got.is_meta or got.dtype != sent.dtype:
        return False
    return torch.allclose(got.detach(), sent.detach(), rtol=1e-12, atol=1e-12)
