"""Running a wrong twin on a copy of the student's inputs, leaving no trace in the judge.

Twins and references are trusted code of the suite, but written for right inputs: what they raise is a
result like any other. They run in this thread without a time limit, so a twin must not loop on odd inputs.
"""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import torch

from autograder.judge.values import is_array, is_number, is_remote, is_tensor

__all__ = ["CannotCopy", "Ran", "clone", "run"]

_IMMUTABLE = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size)
_MAX_DEPTH = 32


class CannotCopy(Exception):
    """The value is, or holds, something that lives in the sandbox: a twin cannot be run on it."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a function did: ``result``, or type and message of its ``error``; its arguments afterwards."""

    result: Any = None
    error: tuple[str, str] | None = None
    args_after: Sequence[Any] = ()
    kwargs_after: Mapping[str, Any] | None = None


def clone(value: Any) -> Any:
    """A deep copy of ``value``: strides, aliasing and ``requires_grad`` are kept, tensors are leaves.

    :raises CannotCopy: a part of it is no data.
    """
    return _clone(value, {}, 0)


def _clone(value: Any, memo: dict[Any, Any], depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise CannotCopy("nested too deep")
    if type(value) in _IMMUTABLE or (is_number(value) and not is_array(value)):
        return value
    if id(value) in memo:
        return memo[id(value)]
    if is_tensor(value):
        copy: Any = _clone_tensor(value, memo)
    elif is_array(value) and value.dtype.kind in "biufcUS":
        copy = _clone_array(value)
    elif type(value) in (list, tuple):
        copy = type(value)(_clone(item, memo, depth + 1) for item in value)
    elif type(value) is dict:
        copy = {key: _clone(item, memo, depth + 1) for key, item in value.items()}
    elif isinstance(value, (FunctionType, BuiltinFunctionType, type)) and not is_remote(value):
        copy = value  # a function of the suite itself
    else:
        raise CannotCopy(type(value).__name__)
    memo[id(value)] = copy
    return copy


def _clone_tensor(value: torch.Tensor, memo: dict[Any, Any]) -> torch.Tensor:
    plain = value.detach()
    if plain.layout != torch.strided or plain.is_quantized:
        copy = plain.clone()
    elif plain.is_meta:
        copy = torch.empty_strided(plain.shape, plain.stride(), dtype=plain.dtype, device="meta")
    else:
        plain = plain.resolve_conj().resolve_neg()
        storage = plain.untyped_storage()
        key = ("storage", storage.data_ptr() or id(value))
        if key not in memo:
            memo[key] = storage.clone()  # type: ignore[no-untyped-call]
        copy = torch.empty(0, dtype=plain.dtype, device=plain.device)
        copy.set_(memo[key], plain.storage_offset(), plain.shape, plain.stride())
    return copy.requires_grad_(value.requires_grad)


def _clone_array(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if value.size == 0 or value.flags.c_contiguous or value.flags.f_contiguous:
        return value.copy(order="K")
    low, high = np.lib.array_utils.byte_bounds(value)
    start = value.__array_interface__["data"][0] - low
    buffer = np.zeros(high - low, dtype=np.uint8)
    copy: np.ndarray[Any, Any] = np.ndarray(value.shape, value.dtype, buffer, start, value.strides)
    copy[...] = value
    return copy


@contextlib.contextmanager
def _no_trace() -> Iterator[None]:
    """Restore the random generators and torch's global switches; keep warnings to ourselves."""
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            torch.set_grad_enabled(True)
            yield
    finally:
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def run(
    function: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> Ran:
    """Call ``function`` on copies of the arguments. Whatever it raises is a result.

    :raises CannotCopy: the arguments cannot be copied.
    """
    copied = _clone([list(args), dict(kwargs or {})], {}, 0)
    return call(function, copied[0], copied[1])


def call(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Ran:
    """Like :func:`run`, on the very arguments."""
    with _no_trace():
        try:
            return Ran(function(*args, **kwargs), None, args, kwargs)
        except Exception as error:
            name = str(getattr(error, "type_name", type(error).__name__))
            return Ran(None, (name, str(getattr(error, "message", error))), args, kwargs)
