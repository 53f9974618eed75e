"""Cells in a real sandbox: what a notebook shows in Jupyter it shows here."""

from __future__ import annotations

import time

import pytest

from autograder.errors import SandboxDied, SandboxError, SandboxTimeout
from autograder.limits import Limits
from autograder.sandbox.client import RemoteFailure


def run(sandbox, source, wall_s=5.0, output_bytes=1 << 19):
    return sandbox.run_cell(source, wall_s=wall_s, output_bytes=output_bytes)


def text(reply):
    return "".join(output["text"] for output in reply["outputs"] if output["output_type"] == "stream")


def test_streams_results_and_counts(sandbox):
    first = run(sandbox, "import torch\nprint('hi')\ntorch.ones(2)")
    assert first["execution_count"] == 1 and first["error"] is None
    stream, result = first["outputs"]
    assert stream == {"output_type": "stream", "name": "stdout", "text": "hi\n"}
    assert result["output_type"] == "execute_result" and result["data"]["text/plain"] == "tensor([1., 1.])"
    assert run(sandbox, "2 + 2;")["outputs"] == []
    assert run(sandbox, "x = 1")["execution_count"] == 3


def test_an_error_is_an_output_and_the_notebook_goes_on(sandbox):
    reply = run(sandbox, "1 / 0")
    assert reply["error"] == "ZeroDivisionError: division by zero"
    assert reply["outputs"][0]["ename"] == "ZeroDivisionError"
    assert "1 / 0" in "\n".join(reply["outputs"][0]["traceback"])
    assert run(sandbox, "1 +")["error"].startswith("SyntaxError")
    assert run(sandbox, "3")["outputs"][0]["data"]["text/plain"] == "3"


def test_standard_error_is_only_an_output(sandbox):
    reply = run(sandbox, "import sys, warnings\nprint('oops', file=sys.stderr)\nwarnings.warn('careful')")
    assert reply["error"] is None
    assert {output["name"] for output in reply["outputs"]} == {"stderr"}


def test_magics_commands_and_output_of_other_processes(sandbox):
    assert text(run(sandbox, "!echo hello")) == "hello\n"
    assert text(run(sandbox, "%%bash\necho from bash")) == "from bash\n"
    assert "raw" in text(run(sandbox, "import os\nos.write(1, b'raw')"))
    assert run(sandbox, "%timeit -n1 -r1 1 + 1")["error"] is None


def test_top_level_await_rich_display_and_figures(sandbox):
    assert run(sandbox, "import asyncio\nawait asyncio.sleep(0)")["error"] is None
    html = run(sandbox, "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))")
    assert html["outputs"][0]["data"]["text/html"] == "<b>x</b>"
    figure = run(sandbox, "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    assert figure["outputs"][0]["data"]["image/png"].startswith("iVBOR")


def test_input_and_exit_do_not_hang_or_end_the_notebook(sandbox):
    assert "cannot be answered" in run(sandbox, "input('name?')")["error"]
    assert run(sandbox, "exit()")["error"] is None
    assert run(sandbox, "import sys; sys.exit(3)")["error"].startswith("SystemExit")
    assert run(sandbox, "1")["error"] is None


@pytest.mark.parametrize("body", ["pass", "try:\n        pass\n    except Exception:\n        pass"])
def test_an_endless_loop_is_interrupted_and_the_notebook_goes_on(sandbox, body):
    started = time.monotonic()
    reply = run(sandbox, f"x = 41\nwhile True:\n    {body}", wall_s=0.5)
    assert reply["timeout"] is True
    assert "frontend.py" not in str(reply["outputs"]), "frames of the engine say nothing to a student"
    assert time.monotonic() - started < 2
    assert run(sandbox, "x + 1")["outputs"][0]["data"]["text/plain"] == "42"


def test_a_loop_that_masks_the_interrupt_is_killed_within_its_grace(sandbox):
    started = time.monotonic()
    with pytest.raises(SandboxTimeout):
        run(sandbox, "import signal\nsignal.signal(14, signal.SIG_IGN)\nwhile True: pass", wall_s=0.5)
    assert time.monotonic() - started < 2.5
    with pytest.raises(SandboxError):
        run(sandbox, "1")


def test_output_is_bounded_while_it_is_printed(sandbox):
    reply = run(sandbox, "for _ in range(10**6):\n    print('x' * 100)", output_bytes=10_000)
    assert reply["truncated"] is True
    assert len(text(reply)) <= 10_000


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("import os; os._exit(0)", 0),
        ("import os; os._exit(7)", 7),
        ("import ctypes; ctypes.string_at(0)", -11),
    ],
)
def test_a_dead_process_is_reported_with_how_it_ended(sandbox, source, status):
    with pytest.raises(SandboxDied) as caught:
        run(sandbox, source)
    assert caught.value.status == status


def test_a_memory_hog_is_stopped(zygote):
    with zygote.spawn(Limits(memory_mb=300), seed=1) as sandbox:
        try:
            reply = run(
                sandbox, "x = bytearray(3 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1", wall_s=20
            )
        except SandboxDied as died:
            assert died.memory
        else:
            assert "MemoryError" in reply["error"]


def test_random_numbers_depend_on_the_seed_alone(zygote, limits):
    source = "import torch, random, numpy as np\n(torch.rand(1).item(), random.random(), np.random.rand())"

    def draw(seed):
        with zygote.spawn(limits, seed=seed) as sandbox:
            return run(sandbox, source)["outputs"][0]["data"]["text/plain"]

    assert draw(1) == draw(1) != draw(2)


def test_what_one_sandbox_did_the_next_does_not_see(zygote, limits):
    with zygote.spawn(limits, seed=1) as first:
        run(
            first,
            "import torch\ntorch.allclose = lambda *a, **k: True\nopen('/tmp/left', 'w').write('x')\nx = 1",
        )
    with zygote.spawn(limits, seed=1) as second:
        assert (
            run(second, "import torch\ntorch.allclose(torch.ones(1), torch.zeros(1))")["outputs"][0]["data"][
                "text/plain"
            ]
            == "False"
        )
        assert run(second, "open('/tmp/left')")["error"].startswith("FileNotFoundError")
        assert run(second, "x")["error"].startswith("NameError")


def test_a_branch_leaves_no_trace(sandbox):
    run(sandbox, "x = [1]\ndef spoil():\n    x.append(2)\n    return len(x)")
    from autograder.judge.student import Student

    for _ in range(2):
        with sandbox.branch() as branch:
            assert Student(branch, wall_s=5).spoil() == 2
    assert run(sandbox, "x")["outputs"][0]["data"]["text/plain"] == "[1]"


def test_the_environment_holds_nothing_of_the_grader(sandbox, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_JUDGE", "1")
    reply = run(sandbox, "import os\nsorted(os.environ)")
    names = eval(reply["outputs"][0]["data"]["text/plain"])  # our own repr of a list of names
    assert "NBGRADER_EXECUTION" in names
    assert not {"SECRET_OF_THE_JUDGE", "PWD", "OLDPWD", "VIRTUAL_ENV"} & set(names)


def test_what_is_deferred_is_done_though_something_before_it_fails(sandbox):
    sandbox.run_cell("x = 1", wall_s=5, output_bytes=1000)
    with sandbox.branch() as branch:
        branch.defer("unheard_of")
        branch.defer("patch", number=1, path="math.pi", how="value", value=3)
        with pytest.raises(RemoteFailure, match="unheard_of"):
            branch.request("get", name="x", wall_s=5)
        source = "import math\nprint(math.pi)"
        told = branch.request("cell", source=source, output_bytes=1000, pristine=False, wall_s=5)
        assert told["outputs"][0]["text"] == "3\n"
