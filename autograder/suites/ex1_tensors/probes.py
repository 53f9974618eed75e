"""Helpers that run beside the student's code. They measure and hold no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["draw_three_times", "write_to_array"]


def write_to_array(make: Callable[..., Any], data: Any, arr: Any) -> Any:
    """``result["numpy"]`` before and after ``arr`` changed, and ``arr`` before and after that tensor did."""
    arr = arr.copy()  # one that can be written to
    numbers = make(data, arr)["numpy"]
    if type(numbers) is not torch.Tensor:
        return None
    numbers = numbers.detach()
    before = numbers.clone()
    arr += 1
    after = numbers.clone()
    array_before = arr.copy()
    if numbers.is_contiguous():
        numbers.add_(100)
    return before, after, array_before, arr.copy()


def draw_three_times(make: Callable[..., Any], args: Any, seed: int) -> Any:
    """Two calls in a row after ``torch.manual_seed(seed)``, and one more after the same seed again.

    Only torch is seeded here: numbers from numpy or from ``random`` do not come back.
    """
    torch.manual_seed(seed)
    first, second = make(*args), make(*args)
    torch.manual_seed(seed)
    return first, second, make(*args)
