"""An auto-graded course on neural networks with PyTorch, and the engine that grades it.

This package is light to import: neither torch nor pytest is loaded before it is needed.
Suites take their words from here and from :mod:`autograder.checks`::

    from autograder import mistake, points
    from autograder.checks import assert_close
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autograder.judge.marks import points
    from autograder.judge.mistakes import mistake

__all__ = ["__version__", "mistake", "points"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Lazy, so that a sandbox that imports autograder.wire never loads a module of the judge.
    if name == "points":
        from autograder.judge.marks import points

        return points
    if name == "mistake":
        from autograder.judge.mistakes import mistake

        return mistake
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
