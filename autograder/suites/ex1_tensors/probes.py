"""Helpers that run beside the student's code. They measure and hold no answer."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import torch

__all__ = ["draw_three_times", "pretend", "restore", "write_to_array"]

_codes: dict[FunctionType, CodeType] = {}


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


def pretend(cuda: bool, mps: bool) -> None:
    """Make torch report exactly these back ends, whichever way and by whatever name it is asked.

    Compiled in (``is_built``) they always are: that says nothing about this machine.
    """
    best = torch.device("cuda" if cuda else "mps") if cuda or mps else None
    answers: dict[str, Any] = {
        "cuda.is_available": cuda,
        "cuda.device_count": int(cuda),
        "cuda.current_device": 0,
        "backends.cuda.is_built": True,
        "backends.mps.is_available": mps,
        "backends.mps.is_built": True,
        "mps.is_available": mps,
        "mps.device_count": int(mps),
        "accelerator.is_available": best is not None,
        "accelerator.current_accelerator": best,
        "accelerator.device_count": int(best is not None),
    }
    for path, answer in answers.items():
        found: Any = torch
        for name in path.split("."):
            found = getattr(found, name, None)
        if hasattr(found, "cache_clear"):
            found.cache_clear()
        found = getattr(found, "__wrapped__", found)
        if isinstance(found, FunctionType):  # not every version of torch has every back end
            _answer(found, answer)


def _answer(function: FunctionType, answer: Any) -> None:
    """From now on ``function`` gives ``answer``, also to code that keeps it under a name of its own."""

    def given(*_: Any, **__: Any) -> Any:  # current_accelerator(check_available=True), say
        return "the answer"

    if function.__code__.co_freevars:
        return
    _codes.setdefault(function, function.__code__)
    code = given.__code__
    constants = tuple(answer if value == "the answer" else value for value in code.co_consts)
    function.__code__ = code.replace(co_consts=constants)


def restore() -> None:
    """Back to what torch says of this machine."""
    for function, code in _codes.items():
        function.__code__ = code
    _codes.clear()
    torch.backends.mps.is_available.cache_clear()  # type: ignore[attr-defined]
