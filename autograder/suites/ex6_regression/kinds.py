"""Tasks that may be solved with tensors or with arrays: both kinds are tried, one that works is enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from autograder.checks import CheckFailed, as_tensor, assert_unchanged, observe

from . import reference

__all__ = ["as_kind", "ask", "either"]


def as_kind(kind: str, *values: Any) -> list[Any]:
    """``values`` as tensors ("torch") or arrays ("numpy"); what is neither stays."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, (np.ndarray, torch.Tensor)):
            plain = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
            found.append(plain.clone() if kind == "torch" else plain.numpy().copy())
        else:
            found.append(value)
    return found


def either(student: Any, scenario: Callable[[str], None], kinds: tuple[str, str]) -> None:
    """Run ``scenario(kind)``; where the first kind makes the student's code raise, the second may do.

    Code that runs and gives wrong numbers is wrong.
    """
    start = len(student.calls)
    try:
        scenario(kinds[0])
        return
    except CheckFailed:
        raise
    except AssertionError as problem:
        first, calls = problem, student.calls[start:]
    del student.calls[start:]
    try:
        scenario(kinds[1])
    except CheckFailed:
        raise  # wrong numbers say more than "expected np.ndarray (got Tensor)"
    except AssertionError:
        student.calls[start:] = calls
        raise first from None


def ask(student: Any, name: str, kind: str, *arguments: Any) -> Any:
    """What the student's ``name`` gives for arguments of a kind.

    Twins (``of="<name>_plain"``) are compared in numbers alone: an answer may be of the other kind.

    :raises CheckFailed: it changed its arguments (the mistake ``changes_arguments`` of its task).
    """
    value = student.get(name)(*as_kind(kind, *arguments))

    def by(implementation: Any) -> Any:
        return _plain(implementation(*as_kind("numpy", *arguments)))

    observe(f"{name}_plain", _plain(value), by=by)
    assert_unchanged(student.last, mistake="changes_arguments")
    return value


def _plain(value: Any) -> Any:
    """Numbers in any coat as float32 tensors, so that they are compared as such; the rest as it is."""
    if type(value) in (tuple, list) and len(value) < 20:
        return [_plain(item) for item in value]
    if isinstance(value, (float, int, np.generic, np.ndarray, torch.Tensor)) and not isinstance(value, bool):
        try:
            return torch.as_tensor(reference.plain(as_tensor(value))).float()
        except AssertionError:
            return value
    return value
