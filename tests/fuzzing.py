"""Mutated notebooks and frames, and what must hold for each: for ``test_fuzz.py`` and ``benchmarks/fuzz.py``.

All of it is driven by one :class:`random.Random`, so an input is known by its seed.
"""

from __future__ import annotations

import copy
import json
import random
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgpack
import nbformat
import numpy as np
import torch

from autograder import feedback
from autograder.checks import assert_close
from autograder.errors import NotebookError, SandboxDied, SandboxTimeout, WireError
from autograder.gradebook_files import autograded_notebook, message_notebook
from autograder.judge.failure import CheckFailed
from autograder.limits import Limits
from autograder.models import CellResult, NotebookResult, Outcome, TaskKind, TaskSpec
from autograder.notebook import AssignmentNotebook, parse, prepare
from autograder.outputs import clean_count, clean_outputs
from autograder.records import cell_outcome, in_kernel, no_checks_run
from autograder.release_files import notebook_text
from autograder.sandbox.client import Peer, RemoteFailure
from autograder.scoring import notebook_totals, task_result
from autograder.wire import HEAD, Bounds, Channel, decode, encode

__all__ = ["Hang", "frame", "frames", "judge_frame", "judge_notebook", "limited", "mutated_notebook"]

LIMITS = Limits(notebook_mb=2, notebook_cells=400)


class Hang(Exception):
    """An input took longer than its limit."""


@contextmanager
def limited(wall_s: float) -> Iterator[None]:
    """Raise :class:`Hang` in this block after ``wall_s`` seconds; main thread only."""

    def ring(number: int, stack: object) -> None:
        raise Hang(f"longer than {wall_s:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, wall_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- values of any kind


def _copy(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except RecursionError:
        return None


TEXTS = (
    "",
    " ",
    "\0",
    "\ud800",
    "é",
    "<script>",
    "### BEGIN SOLUTION",
    "x" * 5000,
    "NaN",
    "-1",
    "%%bash\n:",
    "\u202e",
)
NUMBERS = (0, 1, -1, 2**31, 2**63, -(2**63), 10**200, 1.5, -0.0, 1e308, float("nan"), float("inf"))
KEYS = (
    *("cells", "metadata", "nbformat", "nbformat_minor", "worksheets", "kernelspec", "language", "cell_type"),
    *("source", "outputs", "id", "execution_count", "attachments", "nbgrader", "grade", "grade_id", "locked"),
    *(
        "points",
        "schema_version",
        "solution",
        "task",
        "checksum",
        "tags",
        "input",
        "prompt_number",
        "image/png",
    ),
)


def junk(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON value, small as a rule, deep or long at times."""
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind in (1, 2):
        return rng.choice(NUMBERS)
    if kind in (3, 4, 5):
        return rng.choice((*TEXTS, *KEYS, "code", "markdown", "raw", "python3"))
    if kind == 6:
        return [junk(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {str(rng.choice((*KEYS, *TEXTS))): junk(rng, depth + 1) for _ in range(rng.randrange(4))}
    value: Any = junk(rng, depth + 1)
    for _ in range(rng.choice((1, 3, 60, 1200)) if rng.random() < 0.1 else 2):
        value = [value] if rng.random() < 0.5 else {"cells": value}
    return value


# -- notebooks


def mutated_notebook(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Bytes of a notebook file with some damage: of its structure, of its text, or of its bytes."""
    data = rng.choice(seeds)
    way = rng.random()
    if way < 0.05:
        return rng.randbytes(rng.randrange(400))
    if way < 0.8:
        nb = json.loads(data)
        for _ in range(rng.choice((1, 1, 2, 4, 12))):
            _change_notebook(rng, nb)
        try:
            data = json.dumps(nb, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")
        except (RecursionError, ValueError):
            data = b"[" * 5000
    if way >= 0.75:
        data = _damaged(rng, data)
    return data


def _change_notebook(rng: random.Random, nb: Any) -> None:
    cells = nb.get("cells") if isinstance(nb, dict) else None
    if isinstance(cells, list) and cells and rng.random() < 0.6:
        place = rng.randrange(len(cells))
        other = rng.randrange(len(cells))
        way = rng.randrange(7)
        if way == 0:
            del cells[place]
        elif way == 1:
            cells.insert(other, _copy(cells[place]))
        elif way == 2:
            cells[place], cells[other] = cells[other], cells[place]
        elif way == 3:
            cells[place] = junk(rng)
        elif way == 4 and isinstance(cells[place], dict) and isinstance(cells[other], dict):
            key = rng.choice(("metadata", "source", "cell_type", "id", "outputs"))
            cells[place][key] = _copy(cells[other].get(key, junk(rng)))
        elif way == 5:
            cells[place:place] = [_copy(cells[other])] * rng.choice((1, 2, 500))
        else:
            rng.shuffle(cells)
    else:
        _change_anywhere(rng, nb)


def _change_anywhere(rng: random.Random, value: Any) -> None:
    """Change one thing somewhere in a tree of lists and dicts."""
    for _ in range(rng.randrange(1, 7)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            break
        key = rng.choice(keys)
        if isinstance(value[key], (dict, list)) and value[key] and rng.random() < 0.75:
            value = value[key]
            continue
        if rng.random() < 0.3:
            del value[key]
        else:
            value[key] = junk(rng)
        return
    if isinstance(value, dict):
        value[rng.choice(KEYS)] = junk(rng)


def _damaged(rng: random.Random, data: bytes) -> bytes:
    """Bytes cut, flipped, doubled or put in."""
    raw = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        place = rng.randrange(len(raw) + 1)
        way = rng.randrange(5)
        if way == 0:
            del raw[place:]
        elif way == 1 and place < len(raw):
            raw[place] ^= 1 << rng.randrange(8)
        elif way == 2:
            raw[place:place] = rng.randbytes(rng.randrange(1, 9))
        elif way == 3:
            del raw[place : place + rng.randrange(1, 40)]
        else:
            raw[place:place] = rng.choice(
                (b"\xff\xfe", b"{" * 3, b'"', b"[" * 2000, b"\\ud800", b"1e999", b"\xef\xbb\xbf")
            )
    return bytes(raw)


def judge_notebook(data: bytes, assignment: AssignmentNotebook) -> str:
    """What grading does with a file around the sandbox; "read", or the message of its NotebookError.

    :raises AssertionError: what came out is no valid notebook.
    """
    tasks = tuple(task_result(spec, no_checks_run(spec, None, "fuzzed")) for spec in assignment.tasks)
    score, max_score = notebook_totals(tasks)
    shown: dict[str, Any] = {
        "assignment": "fuzz", "name": assignment.name, "score": score, "max_score": max_score,
        "needs_manual_grade": False, "outcome": Outcome.ERROR, "tasks": tasks,
    }  # fmt: skip
    try:
        prepared = prepare(parse(data, LIMITS), assignment)
    except NotebookError as error:
        assert str(error).strip()
        page = feedback.render(NotebookResult(**shown, message=str(error)), student="ada")
        nb = message_notebook(assignment.nb, str(error), tasks, "fuzz.ipynb")
        answer = str(error)
    else:
        assert [task.id for task in prepared.tasks] == [task.id for task in assignment.tasks]
        graded = [cell.task_id for cell in prepared.cells if cell.task_id]
        assert sorted(graded) == sorted(task.id for task in assignment.tasks), "every task once"
        result = NotebookResult(**shown, notebook=prepared.nb, notices=prepared.notices)
        page, nb, answer = feedback.render(result, student="ada"), autograded_notebook(result), "read"
    page.encode("utf-8", "replace")
    nbformat.validate(nbformat.reads(notebook_text(nb), as_version=4))
    return answer


# -- frames


def frames() -> list[bytes]:
    """Whole frames as a sandbox sends them: answers to cells, to calls, values of all kinds."""
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": "hello\n"},
        {
            "output_type": "execute_result",
            "data": {"text/plain": "1.5"},
            "metadata": {},
            "execution_count": 3,
        },
        {"output_type": "display_data", "data": {"image/png": "aGk=", "text/html": "<b>"}, "metadata": {}},
        {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": ["a", "b"]},
    ]
    values: list[Any] = [
        {
            "outputs": outputs,
            "error": None,
            "wall_s": 0.1,
            "execution_count": 3,
            "truncated": False,
            "timeout": False,
        },
        {"outputs": [], "error": "ValueError: no", "wall_s": 0.1, "execution_count": 4, "timeout": True},
        [
            torch.arange(6.0).reshape(2, 3),
            torch.ones(2, dtype=torch.bool),
            torch.empty(3, 0),
            torch.tensor(1.5),
        ],
        {
            "a": np.arange(4, dtype="<i4"),
            "b": np.array(["x", "yz"]),
            "c": np.float32(2),
            "d": np.array([1, "a"], object),
        },
        (1, -(2**70), 1.5, 2j, "text", b"bytes", None, True, slice(1, None), {1, 2}, frozenset({3}), ...),
        [
            torch.float32,
            torch.device("cpu"),
            torch.Size([2, 3]),
            np.dtype("f8"),
            torch.ones(2, device="meta"),
        ],
    ]
    made = [b"".join(map(bytes, encode({"ok": value}))) for value in values]
    return [*made, b"".join(map(bytes, encode({"failed": {"type": "E", "text": "t", "trace": "x"}})))]


LEAVES = (
    *(
        "T",
        "np",
        "no",
        "ns",
        "nd",
        "d",
        "l",
        "t",
        "s",
        "fs",
        "I",
        "c",
        "b",
        "D",
        "V",
        "S",
        "sl",
        "r",
        "q",
        "...",
    ),
    *("float32", "bool", "cpu", "meta", "cuda", "<f4", "|b1", "<U3", "|O", "C", "F", "ok", "failed", "-0x1"),
)


def frame(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A frame with some damage: of its tree, its lengths, its payload or its bytes."""
    data = rng.choice(seeds)
    way = rng.random()
    if way < 0.03:
        return rng.randbytes(rng.randrange(200))
    if way < 0.8:
        magic, header_bytes, _ = HEAD.unpack(data[: HEAD.size])
        body = data[HEAD.size :]
        tree = msgpack.unpackb(body[:header_bytes], strict_map_key=False)
        payload = body[header_bytes:]
        for _ in range(rng.choice((1, 1, 2, 5))):
            _change_tree(rng, tree)
        if rng.random() < 0.1:
            payload = payload[: rng.randrange(len(payload) + 1)] + rng.randbytes(rng.choice((0, 1, 64)))
        try:
            header = msgpack.packb(tree)
        except (OverflowError, ValueError, RecursionError):
            header = b"\x91" * 3000
        data = HEAD.pack(magic, len(header), len(payload)) + header + payload
    if way >= 0.75:
        data = _damaged(rng, data)
    return data


def _change_tree(rng: random.Random, tree: Any) -> None:
    node = tree
    for _ in range(rng.randrange(1, 9)):
        if not node:
            break
        place = rng.randrange(len(node))
        if isinstance(node[place], list) and node[place] and rng.random() < 0.8:
            node = node[place]
            continue
        way = rng.randrange(6)
        if way == 0:
            del node[place]
        elif way == 1:
            node[place] = rng.choice(LEAVES)
        elif way == 2:
            node[place] = rng.choice((*NUMBERS[:6], 1.5, float("nan"), None, True, b"raw", "\0"))
        elif way == 3:
            node.insert(place, _copy(rng.choice(node)))
        elif way == 4:
            node[place] = [node[place]] * rng.choice((1, 2, 50))
        else:
            value = node[place]
            for _ in range(rng.choice((1, 5, 60, 600))):
                value = ["l", [value]]
            node[place] = value
        return


BOUNDS = Bounds(header_bytes=1 << 20, payload_bytes=1 << 20, nodes=20_000)


def judge_frame(data: bytes, rng: random.Random) -> str:
    """What the judge does with bytes from a sandbox: as an answer to a cell, and as a value in a check."""
    if rng.random() < 0.9 and len(data) >= HEAD.size:
        _, header_bytes, _ = HEAD.unpack(data[: HEAD.size])
        body = data[HEAD.size :]
        header_bytes = min(header_bytes, len(body))
        try:
            answer = decode(
                body[:header_bytes], bytearray(body[header_bytes:]), lambda item: item, bounds=BOUNDS
            )
        except WireError:
            return "WireError"
        value = answer.get("ok") if type(answer) is dict else answer
    else:
        try:
            value = _asked(data)
        except (WireError, SandboxDied, SandboxTimeout, RemoteFailure) as error:
            return type(error).__name__
    _as_cell(value)
    if rng.random() < 0.2:
        try:
            assert_close(value, torch.arange(6.0).reshape(2, 3))
        except CheckFailed as failed:
            failed.explanation.text().encode("utf-8", "replace")
    return "value"


def _asked(data: bytes) -> Any:
    """The answer of a sandbox that wrote ``data`` and closed its socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.setblocking(False)
        try:
            theirs.send(data)
        except BlockingIOError:
            return None
        theirs.shutdown(socket.SHUT_WR)
        return Peer(Channel(ours, BOUNDS)).request("cell", source="x", wall_s=2.0)


def _as_cell(reply: Any) -> None:
    if type(reply) is not dict:
        return  # the client refuses it
    outcome, message = cell_outcome(reply, 1.0)
    outputs = clean_outputs(reply.get("outputs"), message)
    count = clean_count(reply.get("execution_count"))
    cell = CellResult(0, "t", outcome, message=message, outputs=tuple(outputs), execution_count=count)
    spec = TaskSpec("t", 2.0, TaskKind.IN_KERNEL)
    task = task_result(spec, (in_kernel(spec, cell),))
    assert task.score is not None and 0 <= task.score <= 2
    meta = {
        "nbgrader": {"grade_id": "t", "grade": True, "solution": False, "locked": True, "schema_version": 3}
    }
    code = {
        "id": "a",
        "cell_type": "code",
        "metadata": meta,
        "source": "x",
        "outputs": [],
        "execution_count": None,
    }
    nb = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [code]}
    result = NotebookResult("a", "n", task.score, 2.0, False, outcome, (task,), (cell,), notebook=nb)
    json.dumps(result.to_json())
    nbformat.validate(nbformat.from_dict(json.loads(notebook_text(autograded_notebook(result)))))
    feedback.render(result, student="ada").encode("utf-8", "replace")
