"""What the checks of exercise 1 share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from autograder.checks import assert_dtype, assert_shape, assert_true, assert_type

__all__ = ["tensor", "tuple_of_tensors"]


def tensor(value: Any, shape: Sequence[int], *, name: str, slide: str, dtype: str = "", **why: Any) -> Tensor:
    """``value`` if it is a plain tensor of this shape (and dtype); fails by name otherwise."""
    assert_type(value, torch.Tensor, name=name, slide=slide)
    if dtype:
        assert_dtype(value, dtype, name=name, slide=slide)
    assert_shape(value, tuple(shape), name=name, slide=slide, **why)
    return value  # type: ignore[no-any-return]


def tuple_of_tensors(
    value: Any, names: Sequence[str], shape: Sequence[int], *, name: str, slide: str
) -> list[Any]:
    """The parts of a returned tuple. A list and a stack of the parts unpack alike: both right."""
    count = len(names)
    if type(value) is Tensor and tuple(value.shape) == (count, *shape):
        return list(value.unbind(0))
    wanted = f"a tuple ({', '.join(names)})"
    assert_type(value, (tuple, list), name=name, slide=slide, expected=wanted)
    assert_true(
        len(value) == count,
        f"{name} returned {len(value)} values, {count} are asked for.",
        expected=wanted,
        slide=slide,
    )
    return list(value)
