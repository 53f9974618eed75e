"""Memory that nobody has filled, made visible: nan, and not whatever happens to lie there, often zeros.

The source of this module runs in the sandbox, see :meth:`autograder.judge.student.Student.dirty_memory`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch

__all__ = ["make_dirty"]


def make_dirty() -> None:
    """From now on ``empty`` and ``empty_like`` of torch and numpy hand out nan, or the largest integer."""
    # torch fills what it hands out when its algorithms have to be deterministic.
    torch.use_deterministic_algorithms(True, warn_only=True)
    for name in ("empty", "empty_like"):
        setattr(np, name, _filling(getattr(np, name)))


def _filling(make: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(make)
    def made(*args: Any, **kwargs: Any) -> Any:
        array = make(*args, **kwargs)
        if array.dtype.kind in "fc":
            array.fill(np.nan)
        elif array.dtype.kind in "iu":
            array.fill(np.iinfo(array.dtype).max)
        return array

    return made
