"""What the corpus found, each in its smallest form."""

from __future__ import annotations

import socket
import struct
import time

import msgpack
import pytest

from autograder.errors import SandboxTimeout, WireError
from autograder.outputs import clean_count, clean_outputs
from autograder.plain import plain
from autograder.wire import Bounds, Channel, decode, encode
from autograder.wire.kinds import MAX_INT_DIGITS, MAX_ODD_KEYS


def decoded(tree, lengths=(), payload=b""):
    return decode(msgpack.packb([tree, list(lengths)]), bytearray(payload), lambda item: item)


def test_the_same_bytes_count_for_one_array_only():
    one = ["T", "uint8", [64], None, "cpu", 0, 0]
    assert decoded(one, [64], bytes(64)).shape == (64,)
    with pytest.raises(WireError, match="same bytes"):
        decoded(["l", [one, one]], [64], bytes(64))


@pytest.mark.parametrize(
    "key",
    [
        lambda k: ["I", hex((k + 2**10) * (2**61 - 1))],
        lambda k: ["c", float(-1000003 * k), float(k)],
        lambda k: float(k) + 0.5,
        lambda k: ["t", [k, k]],
    ],
    ids=["int", "complex", "float", "tuple"],
)
def test_keys_whose_hash_can_be_chosen_are_counted(key):
    count = MAX_ODD_KEYS + 1
    for tree in (
        ["s", [key(k) for k in range(1, count + 1)]],
        ["d", [[key(k), 0] for k in range(1, count + 1)]],
    ):
        started = time.monotonic()
        with pytest.raises(WireError, match="keys"):
            decoded(tree)
        assert time.monotonic() - started < 5
    assert len(decoded(["s", list(range(3 * count))])) == 3 * count
    assert len(decoded(["d", [[f"k{n}", 0] for n in range(3 * count)]])) == 3 * count


def test_lists_of_a_header_are_counted_before_they_are_made():
    size = 4 << 20
    header = b"\x92\xdd" + struct.pack(">I", size) + b"\x90" * size + b"\x90"
    started = time.monotonic()
    with pytest.raises(WireError, match="values in one frame"):
        decode(header, bytearray(), lambda item: item)
    assert time.monotonic() - started < 0.5


def test_every_int_that_arrives_can_be_printed():
    largest = 16 ** (MAX_INT_DIGITS - 1)
    chunks = encode({"x": largest})
    header = bytes(chunks[0])[16:]
    assert str(decode(header, bytearray(), lambda item: item)["x"])
    with pytest.raises(TypeError):
        encode(16 ** (MAX_INT_DIGITS + 1))
    with pytest.raises(WireError):
        decoded(["I", hex(16 ** (MAX_INT_DIGITS + 3))])


def test_a_descriptor_is_not_waited_for_without_end():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, Bounds())
        with pytest.raises(SandboxTimeout):
            while True:
                channel.send_descriptor(theirs.fileno(), 0.2)


@pytest.mark.parametrize("claim", [-1, 2**31, True, 1.0, "7", None])
def test_an_execution_count_is_one_that_a_notebook_may_hold(claim):
    assert clean_count(claim) is None
    outputs = [{"output_type": "execute_result", "execution_count": claim, "data": {}}]
    assert clean_outputs(outputs, None)[0]["execution_count"] is None


def test_texts_lose_what_steers_a_terminal_and_nothing_else():
    steering = "\x07\x00\x9b\u202e\u200b\ud800"
    assert plain(f"a\x1b[2J{steering}b") == f"a\ufffd[2J{6 * chr(0xFFFD)}b"
    for text in ("", "grüße\n\t→ 数学 é \N{NO-BREAK SPACE}", "x" * 10_000):
        assert plain(text) == text


def test_code_that_breaks_its_own_seeding_has_no_fault_of_the_engine(zygote, limits):
    from autograder.judge.student import Student, StudentError

    with zygote.spawn(limits, seed=1) as sandbox:
        sandbox.run_cell("import random\nrandom.seed = None", wall_s=5, output_bytes=100)
        with sandbox.branch() as branch:
            student = Student(branch, wall_s=5)
            student.seed(7)
            with pytest.raises(StudentError, match="not callable"):
                student.get("random")  # seeding is done before the next request, which tells


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x + 1,
        lambda x: x > 2.0,
        lambda x: float(x),
        lambda x: range(x),
        lambda x: __import__("torch").stack([x]),
        lambda x: __import__("torch").allclose(x, __import__("torch").ones(1)),
        lambda x: __import__("numpy").asarray(x),
        lambda x: len(x),
    ],
    ids=["add", "less", "float", "index", "stack", "allclose", "array", "len"],
)
def test_an_object_in_place_of_a_number_fails_the_check_and_not_the_engine(zygote, limits, use):
    from autograder.judge.student import Student

    with zygote.spawn(limits, seed=1) as sandbox:
        sandbox.run_cell("class Liar: pass\ndef f(): return Liar()", wall_s=5, output_bytes=100)
        with sandbox.branch() as branch:
            got = Student(branch, wall_s=5).f()
            with pytest.raises(AssertionError):
                use(got)
            assert bool(got) is True
