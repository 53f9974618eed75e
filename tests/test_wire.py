"""The wire: what is sent arrives, and any bytes at all give a value or a WireError."""

from __future__ import annotations

import collections
import contextlib
import math
import socket
import threading
import time

import msgpack
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograder import wire
from autograder.errors import SandboxDied, SandboxTimeout, WireError
from autograder.wire import Bounds, Channel, Handle, Reference, decode, encode


def split(chunks):
    data = b"".join(bytes(chunk) for chunk in chunks)
    magic, header, payload = wire.HEAD.unpack(data[: wire.HEAD.size])
    assert magic == wire.MAGIC
    rest = data[wire.HEAD.size :]
    assert len(rest) == header + payload
    return rest[:header], bytearray(rest[header:])


def round_trip(value, *, hold=None, judge=False, bounds=None):
    header, payload = split(encode(value, hold, judge=judge))
    return decode(header, payload, lambda item: item, trusted=judge, bounds=bounds)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return (
            type(a) is type(b)
            and (a.dtype, a.shape, a.device.type, a.requires_grad)
            == (b.dtype, b.shape, b.device.type, b.requires_grad)
            and (a.is_meta or torch.equal(a.isnan(), b.isnan()))
            and (a.is_meta or torch.equal(a.nan_to_num(7), b.nan_to_num(7)))
        )
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


PLAIN = [
    None,
    True,
    -(2**63),
    2**63,
    -(2**200),
    1.5,
    math.inf,
    math.nan,
    3 + 2j,
    "grüße",
    b"\x00\xff",
    [1, (2, {"a": {1, 2}}), frozenset({3})],
    slice(1, None, 2),
    Ellipsis,
    torch.float32,
    torch.device("cuda:0"),
    torch.Size([1, 2]),
    np.dtype("f4"),
    np.float32(2),
    np.str_("abc"),
    np.array(["a", "bcd"]),
    np.array([True, False]),
    np.arange(6).reshape(2, 3).T,
    np.array(3.0),
    torch.tensor(3),
    torch.empty(0, 3),
    torch.ones(2, 2, dtype=torch.bool),
    torch.randn(2, 3).bfloat16(),
    torch.randn(3, 4, requires_grad=True),
    torch.empty(3, device="meta"),
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_data_arrives_as_it_was(value):
    assert same(value, round_trip(value))


def test_object_arrays_of_text_arrive():
    sent = np.array(["5", None, 3], dtype=object)
    got = round_trip(sent)
    assert got.dtype == object and got.tolist() == sent.tolist()


def test_conjugated_and_non_contiguous_tensors_arrive_by_value():
    value = torch.randn(3, 4, dtype=torch.complex64).conj().T
    assert torch.equal(value, round_trip(value))


def test_strides_travel_from_the_judge_only():
    value = torch.randn(4, 3).T
    assert round_trip(value, judge=True).stride() == value.stride()
    assert round_trip(value).is_contiguous()
    sliced = torch.arange(24.0)[::2]
    assert round_trip(sliced, judge=True).stride() == (2,)
    header, payload = split(encode(value, judge=True))
    with pytest.raises(WireError, match="strides"):
        decode(header, payload, lambda item: item)


def test_named_tuples_and_dict_subclasses_of_the_standard_library_are_read_as_data():
    pair = collections.namedtuple("Pair", "a b")(1, 2)
    assert round_trip(pair) == (1, 2)
    assert round_trip(collections.OrderedDict(a=1)) == {"a": 1}
    best = round_trip(torch.max(torch.tensor([[1.0, 3.0]]), dim=1))
    assert type(best) is tuple and best[0] == 3 and best[1] == 1
    assert round_trip(collections.defaultdict(int, a=1)) == {"a": 1}


class Liar(torch.Tensor):
    def __eq__(self, other):
        return True


class LyingFloat(float):
    pass


class LyingDict(dict):
    pass


@pytest.mark.parametrize(
    "value", [torch.ones(2).as_subclass(Liar), LyingFloat(1), LyingDict(a=1), object(), len]
)
def test_anything_else_is_a_handle(value):
    held = []

    def hold(item):
        held.append(item)
        return Handle(7, type(item).__name__)

    assert round_trip([value], hold=hold) == [Handle(7, type(value).__name__)]
    assert held[0] is value
    with pytest.raises(TypeError, match="cannot be sent"):
        encode([value])


def test_a_cycle_is_not_followed_for_ever():
    cycle: list = []
    cycle.append(cycle)
    with pytest.raises(TypeError, match="cannot be sent"):
        encode(cycle)


def test_references_are_refused_from_a_sandbox():
    header, payload = split(encode(Reference("module", "os.system")))
    with pytest.raises(WireError, match="references"):
        decode(header, payload, lambda item: pytest.fail("resolved"))
    assert decode(header, payload, lambda item: item, trusted=True) == Reference("module", "os.system")


def test_lone_surrogates_never_reach_the_judge():
    assert round_trip("a\ud800b") == "a?b"


def forged(tree, payload=b"", lengths=None):
    header = msgpack.packb([tree, [len(payload)] if lengths is None else lengths])
    return decode(header, bytearray(payload), lambda item: item)


@pytest.mark.parametrize(
    "tree",
    [
        ["T", "float32", [3], None, "cpu", 0, 0],
        ["T", "float32", [2**40], None, "cpu", 0, 0],
        ["T", "float32", [-1], None, "cpu", 0, 0],
        ["T", "float99", [1], None, "cpu", 0, 0],
        ["T", "float32", [1], None, "xla", 0, 0],
        ["T", "int64", [1], None, "cpu", 1, 0],
        ["T", "float32", [1], None, "cpu", 64, 0],
        ["T", "float32", [1], None, "cpu", 0, 5],
        ["np", "|O", [1], "C", 0],
        ["np", "<f4", [9], "C", 0],
        ["np", "<M8[s]", [1], "C", 0],
        ["np", "f4,f4", [1], "C", 0],
        ["np", "<U1", [2], "C", 0],
        ["no", [5], []],
        ["ns", "<f8", 0, 0],
        ["I", "z"],
        ["I", "f" * 10**6],
        ["D", "__class__"],
        ["V", "x" * 100],
        ["d", [[["l", []], 1]]],
        ["d", [[1]]],
        ["d", 5],
        ["s", [["l", []]]],
        ["l"],
        ["l", 5],
        ["q", "name", "x"],
        ["r", -1, "x"],
        ["r", 1, 2],
        ["?", 1],
        [],
        [1, 2],
        ["S", [-1]],
        ["sl", 1, 2, 3, 4, 5],
    ],
)
def test_forged_nodes_are_wire_errors(tree):
    with pytest.raises(WireError):
        forged(tree, b"\xff\xff\xff\xff\xff\xff\xff\xff")


def test_depth_and_node_count_are_bounded():
    deep: object = 1
    for _ in range(60):
        deep = ["l", [deep]]
    with pytest.raises(WireError, match="levels"):
        forged(deep)
    with pytest.raises(WireError, match="more than 10 values"):
        decode(msgpack.packb([["l", [1] * 11], []]), bytearray(), lambda item: item, bounds=Bounds(nodes=10))
    very_deep = b"\x92" + b"\x91" * 100_000 + b"\x01" + b"\x90"
    with pytest.raises(WireError):
        decode(very_deep, bytearray(), lambda item: item)


@given(st.binary(max_size=300), st.binary(max_size=200))
@settings(max_examples=600, deadline=None)
def test_any_bytes_give_a_value_or_a_wire_error(header, payload):
    with contextlib.suppress(WireError):
        decode(header, bytearray(payload), lambda item: item)


LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            "T",
            "np",
            "no",
            "ns",
            "d",
            "l",
            "t",
            "s",
            "I",
            "c",
            "b",
            "D",
            "V",
            "S",
            "sl",
            "r",
            "q",
            "float32",
            "<f4",
            "C",
        ]
    ),
)
TREE = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=7), max_leaves=30)


@given(TREE, st.binary(max_size=128), st.lists(st.integers(-3, 130), max_size=3))
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_structure_gives_a_value_or_a_wire_error(tree, payload, lengths):
    try:
        header = msgpack.packb([tree, lengths])
    except (OverflowError, ValueError):
        return
    with contextlib.suppress(WireError):
        decode(header, bytearray(payload), lambda item: item)


@given(
    hnp.arrays(
        hnp.floating_dtypes() | hnp.integer_dtypes() | hnp.boolean_dtypes(),
        hnp.array_shapes(min_dims=0, max_side=4),
    )
)
@settings(max_examples=150, deadline=None)
def test_every_numpy_array_arrives(array):
    assert same(array, round_trip(array))


def channels(**bounds):
    a, b = socket.socketpair()
    return Channel(a, Bounds(**bounds)), Channel(b, Bounds(**bounds))


def test_a_large_frame_crosses_the_channel():
    ours, theirs = channels()
    value = torch.randn(1_000_000)
    sender = threading.Thread(target=ours.send, args=(encode(value),), kwargs={"wall_s": 10})
    sender.start()
    header, payload = theirs.receive(10)
    sender.join()
    assert torch.equal(decode(header, payload, lambda item: item), value)
    ours.close()
    theirs.close()


def test_silence_is_a_timeout_and_a_closed_socket_is_death():
    ours, theirs = channels()
    started = time.monotonic()
    with pytest.raises(SandboxTimeout):
        ours.receive(0.2)
    assert time.monotonic() - started < 2
    theirs.sock.send(wire.MAGIC)  # a frame that never gets whole
    with pytest.raises(SandboxTimeout):
        ours.receive(0.2)
    theirs.close()
    with pytest.raises(SandboxDied):
        ours.receive(1)
    ours.close()


def test_a_frame_that_announces_too_much_is_refused_before_it_is_read():
    ours, theirs = channels(payload_bytes=1000)
    theirs.sock.send(wire.HEAD.pack(wire.MAGIC, 10, 2**60))
    with pytest.raises(WireError, match="larger than the limit"):
        ours.receive(1)
    theirs.sock.send(b"no frame at all, just text")
    with pytest.raises(WireError, match="no frame"):
        ours.receive(1)
    ours.close()
    theirs.close()
