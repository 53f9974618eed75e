"""The data-only language between judge and sandbox, and the framed socket it travels on.

A frame is ``magic, header length, payload length`` (16 bytes), a msgpack header that holds the
structure, and the raw bytes of all arrays one after the other. The header never holds array bytes, so its
size bounds the number of nodes before anything is allocated; arrays are described by dtype and shape and must
match their byte count exactly.

What travels: ``None bool int float complex str bytes list tuple dict set slice``, numpy arrays and scalars,
torch
tensors, dtypes, devices and sizes. Only exact types: a subclass of ``Tensor``, ``float`` or ``str`` is not
data and travels as a
*handle*, a number that stands for an object on the sender's side. ``OrderedDict``, ``defaultdict`` and named
tuples are read through
``dict`` and ``tuple`` themselves, so that overridden methods have no say. The judge may also send
*references*: a name of the student's
namespace, a probe, or an importable object such as ``torch.nn.GELU``.

Nothing here is ever unpickled, evaluated or imported for the judge. A frame that breaks a bound is a
:class:`~autograder.errors.WireError`.
"""

from __future__ import annotations

import collections
import math
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgpack
import numpy as np
import torch

from autograder.errors import SandboxDied, SandboxTimeout, WireError

__all__ = ["MAPPINGS", "Bounds", "Channel", "Handle", "Hold", "Reference", "decode", "encode", "is_sequence"]

MAGIC: Final = b"NNG1"
HEAD: Final = struct.Struct("<4sIQ")
ALIGN: Final = 64

_DTYPES: Final = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
    )
}
_DTYPE_NAMES: Final = {dtype: name for name, dtype in _DTYPES.items()}
_NUMPY_KINDS: Final = "biufcSU"
_DEVICES: Final = ("cpu", "meta", "cuda", "mps")
_INT64: Final = 2**63
_MAX_DIMS: Final = 16
_MAX_INT_DIGITS: Final = 4000
_REFERENCES: Final = ("name", "probe", "module")

# Bound before student code can replace them in the sandbox.
_detach, _cpu, _contiguous = torch.Tensor.detach, torch.Tensor.cpu, torch.Tensor.contiguous


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


Hold = Callable[[object], "Handle | Reference"]


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
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            if -_INT64 <= value < _INT64:
                return value
            # Not str(value): Python refuses to print integers of more than 4300 digits.
            return ["I", hex(value)] if value.bit_length() < 4 * _MAX_INT_DIGITS else self.opaque(value)
        if kind is str:
            return value.encode("utf-8", "replace").decode("utf-8")
        if kind in _CONTAINERS:
            return [_CONTAINERS[kind], [self.node(item, depth + 1) for item in kind.__iter__(value)]]
        if kind in MAPPINGS:
            pairs = dict.items(value)
            return ["d", [[self.node(k, depth + 1), self.node(v, depth + 1)] for k, v in pairs]]
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
        if isinstance(value, np.generic) and value.dtype.kind in _NUMPY_KINDS and kind.__module__ == "numpy":
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
        name = _DTYPE_NAMES.get(value.dtype)
        device = value.device.type
        plain = name and device in _DEVICES and value.layout is torch.strided and value.dim() <= _MAX_DIMS
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
        flat = _contiguous(data).reshape(-1)
        raw = memoryview(flat.view(torch.uint8).numpy()) if flat.numel() else b""
        return ["T", name, shape, strides, device, flags, self.buffer(raw)]

    def array(self, value: np.ndarray[Any, Any], depth: int) -> Any:
        if value.dtype.kind == "O":
            items = value.reshape(-1).tolist()
            if all(item is None or type(item) in (str, int, float, bool) for item in items):
                return ["no", list(value.shape), [self.node(item, depth + 1) for item in items]]
            return self.opaque(value)
        if value.dtype.kind not in _NUMPY_KINDS or value.ndim > _MAX_DIMS:
            return self.opaque(value)
        order: Any = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        return ["np", value.dtype.str, list(value.shape), order, self.buffer(value.tobytes(order))]


MAPPINGS: Final = (dict, collections.OrderedDict, collections.defaultdict)
"""The types that travel as a dict."""


def is_sequence(value: object) -> bool:
    """Whether ``value`` travels as a list or a tuple: exactly one of these, or a named tuple."""
    kind = type(value)
    return kind in (list, tuple) or (kind.__bases__ == (tuple,) and hasattr(kind, "_fields"))


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
        self.nodes = 0
        self.views: list[memoryview] = []
        whole, start = memoryview(payload), 0
        for length in lengths:
            if type(length) is not int or length < 0 or start + length > len(payload):
                raise WireError("array lengths do not match the payload")
            self.views.append(whole[start : start + length])
            start += length + (-length % ALIGN)
        if start != len(payload):
            raise WireError("array lengths do not match the payload")

    def value(self, node: Any, depth: int = 0) -> Any:
        self.nodes += 1
        if self.nodes > self.bounds.nodes:
            raise WireError(f"more than {self.bounds.nodes} values in one frame")
        if depth > self.bounds.depth:
            raise WireError(f"nested more than {self.bounds.depth} levels deep")
        kind = type(node)
        if node is None or kind in (bool, int, float, str):
            return node
        if kind is not list or not node or type(node[0]) is not str:
            raise WireError("a node is no value")
        tag, rest = node[0], node[1:]
        read = _READERS.get(tag)
        if read is None:
            raise WireError(f"unknown tag {tag[:20]!r}")
        return read(self, rest, depth)

    def items(self, node: Any, depth: int) -> list[Any]:
        if type(node) is not list:
            raise WireError("a container without a list")
        return [self.value(item, depth + 1) for item in node]

    def view(self, index: Any) -> memoryview:
        if type(index) is not int or not 0 <= index < len(self.views):
            raise WireError("an array points outside the payload")
        return self.views[index]

    def shape(self, node: Any) -> tuple[int, ...]:
        if type(node) is not list or len(node) > _MAX_DIMS:
            raise WireError("bad shape")
        if (
            not all(type(n) is int and 0 <= n < 2**40 for n in node)
            or math.prod(n or 1 for n in node) >= 2**48
        ):
            raise WireError("bad shape")
        return tuple(node)


def _pairs(d: _Decoder, rest: list[Any], depth: int) -> dict[Any, Any]:
    (nodes,) = rest
    result = {}
    for pair in nodes:
        key, value = pair
        result[d.value(key, depth + 1)] = d.value(value, depth + 1)
    return result


def _bytes(d: _Decoder, rest: list[Any], depth: int) -> bytes:
    (index,) = rest
    return bytes(d.view(index))


def _big_int(d: _Decoder, rest: list[Any], depth: int) -> int:
    (text,) = rest
    if type(text) is not str or len(text) > _MAX_INT_DIGITS + 3:
        raise WireError("bad integer")
    return int(text, 16)


def _numpy_dtype(text: Any) -> np.dtype[Any]:
    if type(text) is not str or len(text) > 12 or text[:1] not in "<>|=" or text[1:2] not in _NUMPY_KINDS:
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
    return flat.reshape(shape, order=order).copy(order=order)


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
    dtype, shape = _DTYPES.get(name) if type(name) is str else None, d.shape(shape_node)
    if dtype is None or device not in _DEVICES or type(flags) is not int or not 0 <= flags < 4:
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
    if not d.trusted or kind not in _REFERENCES or type(name) is not str:
        raise WireError("references are sent by the judge only")
    return d.resolve(Reference(kind, name))


_READERS: Final[dict[str, Callable[[_Decoder, list[Any], int], Any]]] = {
    "l": lambda d, rest, depth: d.items(rest[0], depth),
    "t": lambda d, rest, depth: tuple(d.items(rest[0], depth)),
    "s": lambda d, rest, depth: set(d.items(rest[0], depth)),
    "fs": lambda d, rest, depth: frozenset(d.items(rest[0], depth)),
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


class Channel:
    """Frames over a connected stream socket. Every wait has a limit in seconds of wall time."""

    def __init__(self, sock: socket.socket, bounds: Bounds | None = None) -> None:
        self.sock = sock
        self.bounds = bounds or Bounds()
        sock.setblocking(False)

    def fileno(self) -> int:
        """For ``select`` and ``poll``."""
        return self.sock.fileno()

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def send(self, chunks: Sequence[memoryview | bytes], wall_s: float | None = None) -> None:
        """Write one frame. :class:`SandboxTimeout` when the other side does not read, :class:`SandboxDied`
        when it is gone."""
        deadline = None if wall_s is None else time.monotonic() + wall_s
        pending = [memoryview(chunk) for chunk in chunks if len(chunk)]
        while pending:
            try:
                sent = self.sock.sendmsg(pending[:64])
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline, wall_s)
                continue
            except OSError as error:
                raise SandboxDied("the other side of the wire is gone") from error
            while pending and sent >= len(pending[0]):
                sent -= len(pending.pop(0))
            if sent:
                pending[0] = pending[0][sent:]

    def receive(self, wall_s: float | None = None) -> tuple[bytearray, bytearray]:
        """Read one frame: its header and its payload, not yet decoded.

        :raises SandboxTimeout: nothing whole arrived within ``wall_s`` seconds.
        :raises SandboxDied: the other side closed the socket.
        :raises WireError: the frame is not one, or larger than the bounds.
        """
        deadline = None if wall_s is None else time.monotonic() + wall_s
        magic, header_bytes, payload_bytes = HEAD.unpack(self._exactly(HEAD.size, deadline, wall_s))
        if magic != MAGIC:
            raise WireError("bytes on the wire that are no frame")
        if header_bytes > self.bounds.header_bytes or payload_bytes > self.bounds.payload_bytes:
            raise WireError(f"a frame of {(header_bytes + payload_bytes) >> 20} MiB is larger than the limit")
        header = self._exactly(header_bytes, deadline, wall_s)
        return header, self._exactly(payload_bytes, deadline, wall_s)

    def _exactly(self, size: int, deadline: float | None, wall_s: float | None) -> bytearray:
        # Grows with what really arrives: a frame that only announces 256 MiB costs nothing.
        data = bytearray()
        while len(data) < size:
            try:
                part = self.sock.recv(min(size - len(data), 1 << 20))
            except BlockingIOError:
                self._wait(select.POLLIN, deadline, wall_s)
                continue
            except OSError as error:
                raise SandboxDied("the other side of the wire is gone") from error
            if not part:
                raise SandboxDied("the other side of the wire is gone")
            data += part
        return data

    def _wait(self, event: int, deadline: float | None, wall_s: float | None) -> None:
        poll = select.poll()
        poll.register(self.sock, event)
        left = None if deadline is None else deadline - time.monotonic()
        if (left is not None and left <= 0) or not poll.poll(None if left is None else left * 1000):
            raise SandboxTimeout(f"no answer within {wall_s:g} s", limit_s=wall_s or 0.0)
