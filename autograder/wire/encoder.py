"""Values to frames."""

from __future__ import annotations

from typing import Any, Final, cast

import msgpack
import numpy as np
import torch

from autograder.wire.kinds import (
    ALIGN,
    DEVICES,
    DTYPE_NAMES,
    HEAD,
    INT64,
    MAGIC,
    MAPPINGS,
    MAX_DIMS,
    MAX_INT_DIGITS,
    NUMPY_KINDS,
    Handle,
    Hold,
    Reference,
    is_sequence,
)

__all__ = ["encode"]

# Bound before student code can replace them in the sandbox.
_detach, _cpu, _contiguous = torch.Tensor.detach, torch.Tensor.cpu, torch.Tensor.contiguous
_as_strided = torch.as_strided


class _Encoder:
    def __init__(self, hold: Hold | None, judge: bool) -> None:
        self.hold, self.judge = hold, judge
        self.buffers: list[memoryview | bytes] = []
        self.lengths: list[int] = []

    def buffer(self, data: memoryview | bytes) -> int:
        self.buffers.append(data)
        self.lengths.append(len(data))
        return len(self.lengths) - 1

    def node(self, value: Any, depth: int = 0) -> Any:
        if depth > 40:
            return self.opaque(value)
        kind = type(value)
        if kind in _LEAVES:
            return value
        if kind is int:
            if -INT64 <= value < INT64:
                return value
            # Not str(value): Python refuses to print integers of more than 4300 digits.
            return ["I", hex(value)] if value.bit_length() < 4 * MAX_INT_DIGITS else self.opaque(value)
        if kind is str:
            return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
        node, below = self.node, depth + 1
        if kind in _CONTAINERS:
            items = kind.__iter__(value)
            return [_CONTAINERS[kind], [v if type(v) in _LEAVES else node(v, below) for v in items]]
        if kind in MAPPINGS:
            pairs = dict.items(value)
            # Most keys are short names: no call for these.
            return [
                "d",
                [
                    [
                        k if type(k) is str and k.isascii() else node(k, below),
                        v if type(v) in _LEAVES else node(v, below),
                    ]
                    for k, v in pairs
                ],
            ]
        if kind is torch.Tensor or kind is torch.nn.Parameter:
            return self.tensor(value)
        if kind is np.ndarray:
            return self.array(value, depth)
        if kind is bytes or kind is bytearray:
            return ["b", self.buffer(bytes(value))]
        if kind is complex:
            return ["c", value.real, value.imag]
        if kind is torch.dtype:
            return ["D", str(value).removeprefix("torch.")]
        if kind is torch.device:
            return ["V", str(value)]
        if kind is torch.Size:
            return ["S", list(value)]
        if kind is slice:
            return ["sl", *(self.node(part, depth + 1) for part in (value.start, value.stop, value.step))]
        if kind is type(Ellipsis):
            return ["..."]
        if kind is Handle:
            return ["r", value.id, value.type_name]
        if kind is Reference:
            return ["q", value.kind, value.name]
        if isinstance(value, np.generic) and value.dtype.kind in NUMPY_KINDS and kind.__module__ == "numpy":
            return ["ns", value.dtype.str, self.buffer(np.asarray(value).tobytes())]
        if isinstance(value, np.dtype):
            return ["nd", value.str]
        if is_sequence(value):
            return ["t", [self.node(item, depth + 1) for item in tuple.__iter__(value)]]
        return self.opaque(value)

    def opaque(self, value: object) -> Any:
        if self.hold is None:
            raise TypeError(f"{type(value).__name__} cannot be sent: only plain data, tensors and arrays can")
        return self.node(self.hold(value))

    def tensor(self, value: torch.Tensor) -> Any:
        name = DTYPE_NAMES.get(value.dtype)
        device = value.device.type
        plain = name and device in DEVICES and value.layout is torch.strided and value.dim() <= MAX_DIMS
        if not plain or value.is_quantized:
            return self.opaque(value)
        flags = (1 if value.requires_grad else 0) | (2 if type(value) is torch.nn.Parameter else 0)
        shape = list(value.shape)
        if device == "meta":
            return ["T", name, shape, None, device, flags, None]
        data = _detach(value)
        if data.is_conj() or data.is_neg():
            data = data.resolve_conj().resolve_neg()
        data = _cpu(data) if device != "cpu" else data
        strides = None
        if self.judge and not data.is_contiguous():
            # Checks with transposed or sliced inputs need them to arrive so; numel is not 0 here.
            strides = list(data.stride())
            span = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
            data = torch.as_strided(data, (span,), (1,))
        # Not reshape(-1): one number is contiguous with any stride, and stays so.
        flat = _as_strided(_contiguous(data), (data.numel(),), (1,))
        # numpy shares the tensor's memory; typeshed does not know that its arrays are buffers.
        raw = memoryview(cast(Any, flat.view(torch.uint8).numpy())) if flat.numel() else b""
        return ["T", name, shape, strides, device, flags, self.buffer(raw)]

    def array(self, value: np.ndarray[Any, Any], depth: int) -> Any:
        if value.dtype.kind == "O":
            items = value.reshape(-1).tolist()
            if all(item is None or type(item) in (str, int, float, bool) for item in items):
                return ["no", list(value.shape), [self.node(item, depth + 1) for item in items]]
            return self.opaque(value)
        if value.dtype.kind not in NUMPY_KINDS or value.ndim > MAX_DIMS:
            return self.opaque(value)
        order: Any = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        return ["np", value.dtype.str, list(value.shape), order, self.buffer(value.tobytes(order))]


_LEAVES: Final = frozenset({type(None), bool, float})
"""Types whose values stand for themselves, whatever they are."""
_CONTAINERS: Final[dict[type, str]] = {list: "l", tuple: "t", set: "s", frozenset: "fs"}


def encode(value: object, hold: Hold | None = None, *, judge: bool = False) -> list[memoryview | bytes]:
    """One frame as a list of byte chunks.

    ``hold`` turns an object that is not data into a :class:`Handle` or a :class:`Reference`;
    without it such an object is a ``TypeError``. Cycles and nesting beyond 40 levels count as "not data".
    ``judge`` keeps the strides of tensors, which only the judge may send.
    """
    encoder = _Encoder(hold, judge)
    tree = encoder.node(value)
    header = msgpack.packb([tree, encoder.lengths], use_bin_type=True)
    chunks: list[memoryview | bytes] = []
    payload = 0
    for data, length in zip(encoder.buffers, encoder.lengths, strict=True):
        padding = -length % ALIGN
        chunks.append(data)
        if padding:
            chunks.append(bytes(padding))
        payload += length + padding
    return [HEAD.pack(MAGIC, len(header), payload) + header, *chunks]
