"""What the zygote does so that its children write to few pages: a rehearsal, and no holes left."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from autograder.limits import Limits
from autograder.sandbox import agent
from autograder.sandbox.frontend import Frontend
from autograder.sandbox.rehearsal import rehearse

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

HOLES = """
import ctypes, json, sys
from autograder.sandbox import compaction

FILL = sys.argv[1] == "fill"
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype = (ctypes.c_size_t,), ctypes.c_void_p
libc.free.argtypes = (ctypes.c_void_p,)
small = [bytes(bytearray(size - 33)) for size in range(48, 513, 16) for _ in range(400)]
kept = small[::7]  # one object in seven is left: holes in every page
del small
large = [libc.malloc(2000) for _ in range(2000)]
for chunk in large[::2]:
    libc.free(chunk)
if FILL:
    compaction.fill_holes()
objects = [bytes(bytearray(size - 33)) for size in range(48, 513, 16) for _ in range(20)]
chunks = [libc.malloc(1900) for _ in range(500)]
print(json.dumps([len({id(one) >> 12 for one in objects}), len({one >> 12 for one in chunks})]))
"""


def test_new_objects_lie_together_once_the_holes_are_filled():
    def pages(how: str) -> list[int]:
        done = subprocess.run([sys.executable, "-c", HOLES, how], capture_output=True, text=True, check=True)
        return list(map(int, json.loads(done.stdout)))

    scattered, dense = pages("leave"), pages("fill")
    # 600 objects of 30 sizes, 280 bytes on average, in pools of 16 KiB; 500 chunks of 1.9 KB.
    assert dense[0] <= 30 * 4 and dense[0] < scattered[0]
    assert dense[1] <= 260 < scattered[1]


def test_a_rehearsal_answers_everything_and_leaves_nothing(monkeypatch, capfd):
    answers = []
    reply = agent.Agent._reply

    def keep(self, message):
        answers.append(message)
        reply(self, message)

    monkeypatch.setattr(agent.Agent, "_reply", keep)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # IPython puts its own there
    frontend = Frontend()
    rehearse(frontend)
    assert [answer for answer in answers if "failed" in answer] == []
    errors = {
        a["ok"]["error"]["type"]
        for a in answers
        if isinstance(a["ok"], dict) and "type" in (a["ok"].get("error") or ())
    }
    assert errors == {"AttributeError", "TypeError"}, "only the calls that are meant to fail do"
    cells = [a["ok"] for a in answers if isinstance(a["ok"], dict) and "outputs" in a["ok"]]
    failed = [cell["error"] for cell in cells if cell["error"]]
    assert len(failed) == len(cells) / 5 and all("cannot be multiplied" in text for text in failed)
    assert not {"f", "Model", "y", "torch"} & set(frontend.names)
    assert frontend.shell.execution_count == 1
    assert capfd.readouterr() == ("", "")


def test_a_sandbox_starts_as_if_nothing_had_been_rehearsed(zygote):
    with zygote.spawn(Limits(), seed=1) as sandbox:
        source = "print(sorted(n for n in globals() if n[0] != '_'))\n'f' in globals(), 'Model' in globals()"
        result = sandbox.run_cell(source, wall_s=5, output_bytes=4000)
    assert result["error"] is None and result["execution_count"] == 1
    assert result["outputs"][1]["data"]["text/plain"] == "(False, False)"
    assert "torch" not in result["outputs"][0]["text"]
