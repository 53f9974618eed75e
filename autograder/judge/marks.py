"""``@points``: which task a check belongs to and what it is worth."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, TypeVar

from autograder.errors import SuiteError

__all__ = ["points"]

_Check = TypeVar("_Check", bound=Callable[..., Any])


def points(task: str, n: float) -> Callable[[_Check], _Check]:
    """Mark a test function as a check of ``task`` worth ``n`` points (finite, 0 or more).

    The points of a task's checks add up to the points of its cell. Raises :class:`SuiteError`
    when the arguments make no sense (a forgotten task id, say).
    """
    if not isinstance(task, str) or not task.strip():
        raise SuiteError(f"points(task, n): the task id must be a text that is not empty, not {task!r}")
    if isinstance(n, bool) or not isinstance(n, (int, float)) or not isfinite(n) or n < 0:
        raise SuiteError(f"points({task!r}, n): n must be a finite number, 0 or more, not {n!r}")

    def mark(check: _Check) -> _Check:
        import pytest  # a suite is imported by pytest, a sandbox or the command line is not

        marked: _Check = pytest.mark.points(task, n)(check)
        return marked

    return mark
