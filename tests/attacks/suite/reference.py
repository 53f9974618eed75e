"""The answer that no attack has."""

from __future__ import annotations

from typing import Any

__all__ = ["answer", "double"]


def double(x: Any) -> Any:
    """The honest tasks: twice ``x``."""
    return 2 * x


def answer(a: Any, b: Any) -> Any:
    """The attacked tasks: ``a`` and ``b`` are numbers, or tensors of one shape."""
    return a * b - 1.75 * a
