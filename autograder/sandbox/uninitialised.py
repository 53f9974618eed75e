"""Memory that nobody has written to, made to look like it.

``torch.empty`` hands out what lies in memory. In a copy of a young process that is often 0, or the right
answer of the last call, so code that forgot to fill a tensor would be right today and wrong tomorrow.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

__all__ = ["fill"]


def fill() -> None:
    """From now on ``empty`` of torch (``torch.Tensor(n)`` and ``new_empty`` too) and of numpy gives NaN, the
    largest int or True."""
    # torch's own switch, see torch.utils.deterministic.fill_uninitialized_memory; results do not change.
    if torch.get_deterministic_debug_mode() != _WARN:
        torch.set_deterministic_debug_mode(_WARN)
    for name, filling in _FILLING.items():
        make = getattr(np, name)
        if make is _PLAIN[name]:
            setattr(np, name, filling)
        elif make is not filling and not hasattr(make, "fills"):
            setattr(np, name, _filled(make))


def _filled(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def filled(*args: Any, **kwargs: Any) -> Any:
        array = make(*args, **kwargs)
        if type(array) is np.ndarray:
            kind = array.dtype.kind
            if kind in "fc":
                array.fill(np.nan)
            elif kind in "iu":
                array.fill(np.iinfo(array.dtype).max)
            elif kind == "b":
                array.fill(True)
        return array

    filled.fills = True  # type: ignore[attr-defined]
    return filled


_WARN: Final = 1
_PLAIN: Final[dict[str, Callable[..., Any]]] = {name: getattr(np, name) for name in ("empty", "empty_like")}
_FILLING: Final = {name: _filled(make) for name, make in _PLAIN.items()}
"""What takes their place; made in the zygote, as each copy would have to make it again."""
