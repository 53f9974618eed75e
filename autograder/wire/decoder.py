"""Frames to values: any bytes at all give a value or a :class:`~autograder.errors.WireError`."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import NoneType
from typing import Any, Final

import msgpack
import numpy as np
import torch

from autograder.errors import WireError
from autograder.wire.kinds import (
    ALIGN,
    DEVICES,
    DTYPES,
    INT64,
    MAX_DIMS,
    MAX_INT_DIGITS,
    MAX_ODD_KEYS,
    NUMPY_KINDS,
    REFERENCE_KINDS,
    Bounds,
    Handle,
    Reference,
)

__all__ = ["decode"]


class _Decoder:
    def __init__(
        self,
        payload: bytearray,
        lengths: list[int],
        bounds: Bounds,
        resolve: Callable[[Handle | Reference], Any],
        trusted: bool,
    ) -> None:
        self.bounds, self.resolve, self.trusted = bounds, resolve, trusted
        self.nodes, self.odd_keys = 1, 0
        self.views: list[memoryview | None] = []
        whole, start = memoryview(payload), 0
        for length in lengths:
            if type(length) is not int or length < 0 or start + length > len(payload):
                raise WireError("array lengths do not match the payload")
            self.views.append(whole[start : start + length])
            start += length + (-length % ALIGN)
        if start != len(payload):
            raise WireError("array lengths do not match the payload")

    def value(self, node: Any, depth: int = 0) -> Any:
        kind = type(node)
        if kind in _LEAVES:
            return node
        if depth > self.bounds.depth:
            raise WireError(f"nested more than {self.bounds.depth} levels deep")
        if kind is not list or not node or type(node[0]) is not str:
            raise WireError("a node is no value")
        tag, rest = node[0], node[1:]
        read = _READERS.get(tag)
        if read is None:
            raise WireError(f"unknown tag {tag[:20]!r}")
        return read(self, rest, depth)

    def count(self, nodes: int) -> None:
        """Each container counts what it holds."""
        self.nodes += nodes
        if self.nodes > self.bounds.nodes:
            raise WireError(f"more than {self.bounds.nodes} values in one frame")

    def items(self, node: Any, depth: int) -> list[Any]:
        if type(node) is not list:
            raise WireError("a container without a list")
        self.count(len(node))
        value, below = self.value, depth + 1
        return [item if type(item) in _LEAVES else value(item, below) for item in node]

    def view(self, index: Any) -> memoryview:
        if type(index) is not int or not 0 <= index < len(self.views):
            raise WireError("an array points outside the payload")
        view, self.views[index] = self.views[index], None
        if view is None:  # thousands of arrays made of the same bytes would fill any memory
            raise WireError("two arrays point to the same bytes")
        return view

    def key(self, value: Any) -> Any:
        """``value`` as an element of a set or the key of a dict."""
        if type(value) not in (str, bytes, bool, NoneType) and not (
            type(value) is int and -INT64 <= value < INT64
        ):
            self.odd_keys += 1
            if self.odd_keys > MAX_ODD_KEYS:
                raise WireError(f"more than {MAX_ODD_KEYS} keys that are neither text nor small numbers")
        return value

    def shape(self, node: Any) -> tuple[int, ...]:
        if type(node) is not list or len(node) > MAX_DIMS:
            raise WireError("bad shape")
        if (
            not all(type(n) is int and 0 <= n < 2**40 for n in node)
            or math.prod(n or 1 for n in node) >= 2**48
        ):
            raise WireError("bad shape")
        return tuple(node)


def _pairs(d: _Decoder, rest: list[Any], depth: int) -> dict[Any, Any]:
    (nodes,) = rest
    d.count(2 * len(nodes))
    result = {}
    below = depth + 1
    for key, value in nodes:
        name = key if type(key) is str else d.key(d.value(key, below))
        result[name] = value if type(value) in _LEAVES else d.value(value, below)
    return result


def _bytes(d: _Decoder, rest: list[Any], depth: int) -> bytes:
    (index,) = rest
    return bytes(d.view(index))


def _big_int(d: _Decoder, rest: list[Any], depth: int) -> int:
    (text,) = rest
    if type(text) is not str or len(text) > MAX_INT_DIGITS + 3:
        raise WireError("bad integer")
    return int(text, 16)


def _numpy_dtype(text: Any) -> np.dtype[Any]:
    if type(text) is not str or len(text) > 12 or text[:1] not in "<>|=" or text[1:2] not in NUMPY_KINDS:
        raise WireError("bad numpy dtype")
    dtype = np.dtype(text)
    if dtype.hasobject or dtype.itemsize > 4 << 20:
        raise WireError("bad numpy dtype")
    return dtype


def _array(d: _Decoder, rest: list[Any], depth: int) -> np.ndarray[Any, Any]:
    text, shape_node, order, index = rest
    dtype, shape, view = _numpy_dtype(text), d.shape(shape_node), d.view(index)
    if math.prod(shape) * dtype.itemsize != len(view) or order not in ("C", "F"):
        raise WireError("an array's bytes do not match its shape")
    if dtype.kind == "U" and len(view):
        points = np.frombuffer(view, np.dtype("u4").newbyteorder(dtype.byteorder))
        if points.max() > 0x10FFFF or ((points >= 0xD800) & (points < 0xE000)).any():
            raise WireError("text that is not Unicode")
    if dtype.kind == "b":
        flat = np.frombuffer(view, np.uint8) != 0
    else:
        flat = np.frombuffer(view, dtype) if len(view) else np.empty(0, dtype)
    array: np.ndarray[Any, Any] = flat.reshape(shape, order=order).copy(order=order)
    return array


def _object_array(d: _Decoder, rest: list[Any], depth: int) -> np.ndarray[Any, Any]:
    shape_node, nodes = rest
    shape, items = d.shape(shape_node), d.items(nodes, depth)
    if math.prod(shape) != len(items) or not all(
        v is None or type(v) in (str, int, float, bool) for v in items
    ):
        raise WireError("bad object array")
    flat = np.empty(len(items), dtype=object)
    flat[:] = items
    return flat.reshape(shape)


def _numpy_scalar(d: _Decoder, rest: list[Any], depth: int) -> np.generic:
    text, index = rest
    array = _array(d, [text, [], "C", index], depth)
    scalar = array[()]
    if not isinstance(scalar, np.generic):
        raise WireError("bad numpy scalar")
    return scalar


def _tensor(d: _Decoder, rest: list[Any], depth: int) -> torch.Tensor:
    name, shape_node, strides, device, flags, index = rest
    dtype, shape = DTYPES.get(name) if type(name) is str else None, d.shape(shape_node)
    if dtype is None or device not in DEVICES or type(flags) is not int or not 0 <= flags < 4:
        raise WireError("bad tensor")
    if device == "meta":
        tensor = torch.empty(shape, dtype=dtype, device="meta")
    else:
        tensor = _tensor_data(d, dtype, shape, strides, d.view(index))
        if device != "cpu" and d.trusted:
            tensor = tensor.to(device)
    if flags & 1:
        if not (dtype.is_floating_point or dtype.is_complex):
            raise WireError("an integer tensor cannot require gradients")
        tensor.requires_grad_(True)
    if not d.trusted and device != "cpu":
        tensor.wire_device = device  # type: ignore[attr-defined]
    return tensor


def _tensor_data(
    d: _Decoder, dtype: torch.dtype, shape: tuple[int, ...], strides: Any, view: memoryview
) -> torch.Tensor:
    size = dtype.itemsize
    if strides is None:
        if math.prod(shape) * size != len(view):
            raise WireError("a tensor's bytes do not match its shape")
        if not len(view):
            return torch.empty(shape, dtype=dtype)
        if dtype is torch.bool:
            return (torch.frombuffer(view, dtype=torch.uint8) != 0).reshape(shape)
        return torch.frombuffer(view, dtype=dtype).reshape(shape).clone()
    if not d.trusted:
        raise WireError("strides are sent by the judge only")
    storage = torch.frombuffer(view, dtype=dtype).clone()
    return torch.as_strided(storage, shape, strides)


def _dtype(d: _Decoder, rest: list[Any], depth: int) -> torch.dtype:
    (name,) = rest
    dtype = getattr(torch, name, None) if type(name) is str and name.isidentifier() else None
    if type(dtype) is not torch.dtype:
        raise WireError("bad dtype")
    return dtype


def _device(d: _Decoder, rest: list[Any], depth: int) -> torch.device:
    (name,) = rest
    if type(name) is not str or len(name) > 20:
        raise WireError("bad device")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise WireError("bad device") from error


def _complex(d: _Decoder, rest: list[Any], depth: int) -> complex:
    real, imag = rest
    if type(real) is not float or type(imag) is not float:
        raise WireError("bad complex number")
    return complex(real, imag)


def _handle(d: _Decoder, rest: list[Any], depth: int) -> Any:
    number, type_name = rest
    if type(number) is not int or type(type_name) is not str or number < 0:
        raise WireError("bad handle")
    return d.resolve(Handle(number, type_name[:200]))


def _reference(d: _Decoder, rest: list[Any], depth: int) -> Any:
    kind, name = rest
    if not d.trusted or kind not in REFERENCE_KINDS or type(name) is not str:
        raise WireError("references are sent by the judge only")
    return d.resolve(Reference(kind, name))


_READERS: Final[dict[str, Callable[[_Decoder, list[Any], int], Any]]] = {
    "l": lambda d, rest, depth: d.items(rest[0], depth),
    "t": lambda d, rest, depth: tuple(d.items(rest[0], depth)),
    "s": lambda d, rest, depth: set(map(d.key, d.items(rest[0], depth))),
    "fs": lambda d, rest, depth: frozenset(map(d.key, d.items(rest[0], depth))),
    "d": _pairs,
    "b": _bytes,
    "I": _big_int,
    "c": _complex,
    "np": _array,
    "no": _object_array,
    "ns": _numpy_scalar,
    "nd": lambda d, rest, depth: _numpy_dtype(rest[0]),
    "T": _tensor,
    "D": _dtype,
    "V": _device,
    "S": lambda d, rest, depth: torch.Size(d.shape(rest[0])),
    "sl": lambda d, rest, depth: slice(*d.items(rest, depth)),
    "...": lambda d, rest, depth: ...,
    "r": _handle,
    "q": _reference,
}


_LEAVES: Final = frozenset({bool, float, int, NoneType, str})
"""What msgpack gives for a value that is none of ours."""
_LIST_MARKS: Final = bytes([*range(0x90, 0xA0), 0xDC, 0xDD])
"""The bytes with which msgpack begins a list."""


def decode(
    header: bytes | bytearray,
    payload: bytearray,
    resolve: Callable[[Handle | Reference], Any],
    *,
    bounds: Bounds | None = None,
    trusted: bool = False,
) -> Any:
    """The value of one frame.

    ``resolve`` gives what a handle or a reference stands for. ``trusted`` is true only in the sandbox, which
    may
    believe the judge: references, strides and device moves are refused otherwise. Any bytes at all give a
    value
    or a :class:`WireError`.
    """
    bounds = bounds or Bounds()
    # Each list of a header takes one byte there and 70 in memory: count before they are made. Bytes of text
    # may be counted with them, so this is no exact bound.
    if len(header) - len(header.translate(None, _LIST_MARKS)) > 2 * bounds.nodes:
        raise WireError(f"more than {bounds.nodes} values in one frame")
    try:
        tree, lengths = msgpack.unpackb(
            header,
            use_list=True,
            raw=False,
            strict_map_key=True,
            unicode_errors="replace",
            max_map_len=0,
            max_ext_len=0,
            max_bin_len=0,
        )
        if type(lengths) is not list:
            raise WireError("a frame without array lengths")
        return _Decoder(payload, lengths, bounds, resolve, trusted).value(tree)
    except WireError:
        raise
    except (
        ValueError,
        TypeError,
        IndexError,
        OverflowError,
        RuntimeError,
        MemoryError,
        RecursionError,
    ) as error:
        # RuntimeError is torch's, RecursionError msgpack's and ours: whatever the bytes were, they are no
        # frame.
        raise WireError(f"not a frame: {type(error).__name__}") from error
