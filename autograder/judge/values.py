"""What a value is, and how it is printed: one bounded line, whatever it is.

Only exact types are trusted. An object that stayed in the sandbox (a *remote object*) is known by
the attributes ``__wire_handle__`` or ``type_name`` and is never asked for anything else: asking could
run the student's code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

__all__ = [
    "describe",
    "dtype_name",
    "is_array",
    "is_number",
    "is_remote",
    "is_tensor",
    "number_text",
    "remote_name",
    "shape_of",
    "shorten",
    "type_phrase",
]

MAX_TEXT = 240
_FEW = 12
_DEPTH = 3

_PYTHON_NUMBERS = (bool, int, float, complex)
_TORCH_DATA = (torch.dtype, torch.device, torch.Size)


def _own(value: object, name: str) -> Any:
    """An attribute without ``__getattr__`` (of a proxy: without a call to the sandbox), else None."""
    try:
        return object.__getattribute__(value, name)
    except Exception:  # no attribute, or a property of an odd value that raises: both mean that there is none
        return None


def is_remote(value: object) -> bool:
    """Whether ``value`` stands for an object that stayed in the sandbox."""
    return any(_own(value, name) is not None for name in ("__wire_handle__", "type_name"))


def remote_name(value: object) -> str:
    """The class name of a remote object, as the sandbox claims it."""
    return shorten(str(_own(value, "type_name") or type(value).__name__), 80)


def is_tensor(value: object) -> bool:
    """Whether ``value`` is a plain tensor (or Parameter); a subclass of the student's is not."""
    return type(value) is torch.Tensor or type(value) is torch.nn.Parameter


def is_array(value: object) -> bool:
    """Whether ``value`` is a plain numpy array."""
    return type(value) is np.ndarray


def is_number(value: object) -> bool:
    """Whether ``value`` is a Python or numpy bool, int, float or complex."""
    if type(value) in _PYTHON_NUMBERS:
        return True
    return isinstance(value, (np.bool_, np.number)) and type(value).__module__ == "numpy"


def shape_of(value: Any) -> tuple[int, ...] | None:
    """Shape of a tensor, array or number (``()``), None for anything else."""
    if is_tensor(value) or is_array(value):
        return tuple(int(n) for n in value.shape)
    return () if is_number(value) else None


def dtype_name(value: Any) -> str:
    """ "float32" of a tensor, array, scalar or of a dtype; "" when there is none."""
    dtype = value if isinstance(value, (torch.dtype, np.dtype)) else None
    if dtype is None:
        if is_tensor(value) or is_array(value) or isinstance(value, np.generic):
            dtype = value.dtype
        else:
            return type(value).__name__ if is_number(value) else ""
    if isinstance(dtype, np.dtype):
        return str(dtype.name)
    return str(dtype).removeprefix("torch.")


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """``text`` without control characters and at most ``limit`` characters long."""
    text = "".join(c if c.isprintable() else " " for c in text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number_text(value: Any) -> str:
    """A number with up to 6 significant digits; huge ints by their size."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float, complex)):
        return shorten(repr(value), 40)
    if isinstance(value, int):
        if abs(value) < 10**20:
            return str(value)
        return f"an int of {value.bit_length()} bits"
    if isinstance(value, complex):
        return f"{value:.6g}"
    text = f"{value:.6g}"
    return text if not math.isfinite(value) or any(c in text for c in ".e") else text + ".0"


def type_phrase(value: Any) -> str:
    """ "None", "a Python float (2.5)", "a numpy array", "an object of class Liar"."""
    if value is None:
        return "None"
    if is_tensor(value):
        return "a torch.Tensor"
    if is_array(value):
        return "a numpy array"
    if isinstance(value, np.generic) and type(value).__module__ == "numpy":
        return f"a numpy {type(value).__name__} ({number_text(value)})"
    if type(value) in _PYTHON_NUMBERS:
        article = "an" if type(value) is int else "a"
        python = "" if type(value) in (int, bool) else "Python "
        return f"{article} {python}{type(value).__name__} ({number_text(value)})"
    if type(value) in (str, bytes):
        return f"{'a str' if type(value) is str else 'bytes'} ({shorten(repr(value[:60]), 60)})"
    if type(value) in (list, tuple, dict):
        return f"a {type(value).__name__} with {len(value)} {'entry' if len(value) == 1 else 'entries'}"
    if type(value) in _TORCH_DATA:
        return f"a torch.{type(value).__name__} ({shorten(str(value), 60)})"
    if is_remote(value):
        return f"an object of class {remote_name(value)}"
    return f"an object of class {shorten(type(value).__name__, 80)}"


def describe(value: Any) -> str:
    """``value`` in one line of at most ``MAX_TEXT`` characters. Never raises, never allocates much."""
    try:
        return shorten(_describe(value, 0))
    except Exception:  # printing must never cost a verdict, whatever the value is
        return type_phrase(value)


def _describe(value: Any, depth: int) -> str:
    if value is None:
        return "None"
    if is_tensor(value):
        return _describe_tensor(value)
    if is_array(value):
        head = f"numpy array of shape {tuple(value.shape)}, {dtype_name(value)}"
        return f"{head}: {_entries(value)}" if value.dtype.kind in "biufcUS" else head
    if is_number(value):
        return number_text(value)
    if type(value) in (str, bytes):
        return repr(value[:MAX_TEXT])
    if type(value) in (list, tuple, dict):
        return _describe_container(value, depth)
    if type(value) in _TORCH_DATA:
        return str(value)
    return type_phrase(value)


def _describe_tensor(value: torch.Tensor) -> str:
    text = f"tensor of shape {tuple(value.shape)}, {dtype_name(value)}"
    if value.device.type != "cpu":
        text += f", on {value.device.type}"
    if value.layout != torch.strided:
        return f"{text}, {str(value.layout).removeprefix('torch.')}"
    if value.is_meta or value.is_quantized:
        return text
    return f"{text}: {_entries(value.detach())}"


def _describe_container(value: Any, depth: int) -> str:
    left, right = ("{", "}") if type(value) is dict else ("(", ")") if type(value) is tuple else ("[", "]")
    if depth == _DEPTH:
        return f"{left}…{right}" if len(value) else left + right
    few = _first(value.items() if type(value) is dict else value, 6)
    if type(value) is dict:
        parts = [f"{shorten(repr(k), 40)}: {_describe(v, depth + 1)}" for k, v in few]
    else:
        parts = [_describe(item, depth + 1) for item in few]
    if len(value) > len(parts):
        parts.append("…")
    return left + ", ".join(parts) + ("," if type(value) is tuple and len(value) == 1 else "") + right


def _first(items: Iterable[Any], count: int) -> list[Any]:
    return [item for _, item in zip(range(count), items, strict=False)]


def _entries(data: Any) -> str:
    """All entries of a small tensor or array, the first few of its first row otherwise."""
    size = math.prod(data.shape)
    if size == 0:
        return "no entries"
    if size <= _FEW:
        return _nested(data.tolist())
    while data.ndim > 1:  # views only: an expanded tensor may have more entries than the machine has bytes
        data = data[0]
    row = data[:6].tolist()
    return "first entries " + ", ".join(number_text(x) for x in row) + ", …"


def _nested(items: Any) -> str:
    if isinstance(items, list):
        return "[" + ", ".join(_nested(item) for item in items) + "]"
    return number_text(items)
