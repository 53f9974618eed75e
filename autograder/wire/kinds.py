"""What may travel: the kinds of values, their bounds, and the layout of a frame."""

from __future__ import annotations

import collections
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

__all__ = [
    "ALIGN",
    "DEVICES",
    "DTYPES",
    "DTYPE_NAMES",
    "HEAD",
    "INT64",
    "MAGIC",
    "MAPPINGS",
    "MAX_DIMS",
    "MAX_INT_DIGITS",
    "MAX_ODD_KEYS",
    "NUMPY_KINDS",
    "REFERENCE_KINDS",
    "Bounds",
    "Handle",
    "Hold",
    "Reference",
    "is_sequence",
]

MAGIC: Final = b"NNG1"
HEAD: Final = struct.Struct("<4sIQ")
ALIGN: Final = 64

DTYPES: Final = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
    )
}
DTYPE_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}
NUMPY_KINDS: Final = "biufcSU"
DEVICES: Final = ("cpu", "meta", "cuda", "mps")
INT64: Final = 2**63
MAX_DIMS: Final = 16
MAX_INT_DIGITS: Final = 3500
"""Hexadecimal digits of an int: Python prints no more than 4300 decimal ones."""
MAX_ODD_KEYS: Final = 4096
"""Keys in one frame whose hash can be chosen: each may have to be compared with all others."""
REFERENCE_KINDS: Final = ("name", "probe", "module")


MAPPINGS: Final = (dict, collections.OrderedDict, collections.defaultdict)
"""The types that travel as a dict."""


def is_sequence(value: object) -> bool:
    """Whether ``value`` travels as a list or tuple: one of these, a named tuple, what torch.max gives."""
    kind = type(value)
    if kind in (list, tuple):
        return True
    named = hasattr(kind, "_fields") or kind.__module__ == "torch.return_types"
    return kind.__bases__ == (tuple,) and named


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the receiver accepts. ``header_bytes`` and ``payload_bytes`` per frame, ``nodes`` and ``depth``
    per value."""

    header_bytes: int = 8 << 20
    payload_bytes: int = 256 << 20
    nodes: int = 1_000_000
    depth: int = 48


@dataclass(frozen=True, slots=True)
class Handle:
    """An object that stays on the sandbox's side. ``type_name`` is its claim about its type."""

    id: int
    type_name: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A thing that the sandbox looks up: ``kind`` is "name" (student's namespace), "probe" or "module"
    (dotted path)."""

    kind: str
    name: str


Hold = Callable[[object], Handle | Reference]
"""What stands for an object that is no data."""
