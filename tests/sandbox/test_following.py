"""A copy that is kept from task to task becomes what the sandbox is, or says that it cannot."""

from __future__ import annotations

import pytest

from autograder.errors import SandboxDied
from autograder.judge.copies import Copies
from autograder.judge.student import NotDefined, Student
from autograder.limits import Limits


@pytest.fixture
def notebook(sandbox):
    """Runs cells in the sandbox, and tells its copies."""

    class Notebook:
        copies = Copies(sandbox.branch)

        def run(self, source):
            reply = sandbox.run_cell(source, wall_s=5.0, output_bytes=1000)
            assert reply["error"] is None, reply["error"]
            if "sleep" not in source:
                reply["wall_s"] = 0.001  # on a busy machine too
            self.copies.ran(source, reply)
            return reply

    notebook = Notebook()
    yield notebook
    notebook.copies.drop()


def student(branch):
    found = Student(branch, wall_s=5)
    found.begin_check(7)
    return found


def test_a_copy_sees_what_the_cells_since_have_defined(notebook):
    notebook.run("def f(): return 1")
    first = notebook.copies.new()
    assert student(first).f() == 1
    notebook.copies.keep(first)
    notebook.run("factor = 3\ndef f(): return factor")
    notebook.run("def g(): return f() + 1")
    second = notebook.copies.take()
    assert second is first
    assert (student(second).f(), student(second).g(), student(second).factor) == (3, 4, 3)
    second.close()


def test_random_numbers_and_empty_memory_are_those_of_the_notebook(notebook):
    draws = "import random, numpy, torch\nx = [torch.rand(1).item(), numpy.random.rand(), random.random()]\n"
    notebook.run("import torch\ntorch.manual_seed(1)\n" + draws)
    kept = notebook.copies.new()
    student(kept).get("x")  # its check seeds, and fills empty memory
    notebook.copies.keep(kept)
    notebook.run(draws + "usual = not torch.get_deterministic_debug_mode(), numpy.empty.__name__")
    found = notebook.copies.take()
    assert found is kept
    with notebook.copies.new() as fresh:
        assert student(found).x == student(fresh).x
        assert student(found).usual == student(fresh).usual == (True, "empty")
    found.close()


def test_names_that_a_check_has_changed_are_put_back(notebook):
    notebook.run("counter = 0\ndef f():\n    global counter, extra\n    counter += 1\n    extra = 5")
    kept = notebook.copies.new()
    student(kept).f()
    notebook.copies.keep(kept)
    notebook.run("found = 'extra' in globals()")
    found = notebook.copies.take()
    assert found is kept
    assert (student(found).counter, student(found).found) == (0, False)
    found.close()


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ("x = [1]", "x.append(2)"),
        ("x = {'a': [1, 2]}", "x['a'][0] = 5"),
        ("x = {1}", "x.add(2)"),
        ("x = torch.ones(3)", "x.add_(1)"),
        ("x = torch.ones(3, requires_grad=True)", "x.sum().backward()"),
        ("x = np.ones(3)", "x[0] = 2"),
        ("x = torch.nn.Linear(2, 1)", "torch.nn.init.zeros_(x.weight)"),
        ("x = torch.nn.Linear(2, 1)", "x(torch.ones(2)).sum().backward()"),
        ("x = torch.nn.Linear(2, 1)", "x.eval()"),
        ("class C:\n    n = 0", "C.n += 1"),
        ("class C:\n    seen = []", "C.seen.append(1)"),
        ("class C: pass\nx = C()", "x.y = 1"),
        ("def g(seen=[]): seen.append(1)", "g.__defaults__ = ([2],)"),
        ("def g(): pass", "g.calls = 1"),
        ("def make(n):\n    def g():\n        nonlocal n\n        n += 1\n    return g\ng = make(0)", "g()"),
        ("", "torch.set_default_dtype(torch.float64)"),
        ("", "torch.set_grad_enabled(False)"),
        ("", "os.chdir('/tmp')"),
        ("", "os.environ['X'] = '1'"),
        ("x = iter([1, 2])", "pass"),
        ("x = np.random.default_rng(1)", "pass"),
    ],
)
def test_a_copy_in_which_a_check_left_something_is_given_up(notebook, before, change):
    notebook.run(f"import os\nimport numpy as np\nimport torch\n{before}\ndef f():\n    {change}")
    kept = notebook.copies.new()
    student(kept).f()
    notebook.copies.keep(kept)
    notebook.run("y = 2")
    assert notebook.copies.take() is None


@pytest.mark.parametrize(
    "before",
    [
        "x = torch.ones(2, requires_grad=True).sum()",
        "x = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())",
        "x = torch.optim.SGD([torch.zeros(2, requires_grad=True)], lr=0.1)",
        "x = [np.ones(3), {'a': (1, 'b')}, range(3), None, torch.float32]",
        "class C:\n    def __init__(self): self.n = [1]\nx = C()",
        "from functools import partial\nx = lambda a, b=2: a",
        "import math, collections\nfrom torch import nn\nx = math.pi",
    ],
)
def test_what_notebooks_usually_hold_is_no_obstacle(notebook, before):
    notebook.run(f"import numpy as np\nimport torch\n{before}\ndef f(): return 1")
    kept = notebook.copies.new()
    assert student(kept).f() == 1
    notebook.copies.keep(kept)
    notebook.run("y = 2")
    found = notebook.copies.take()
    assert found is kept
    found.close()


@pytest.mark.parametrize(
    "cell",
    [
        "open('new', 'w').close()",
        "with open('there', 'a') as file: file.write('more')",
        "import os\nos.mkdir('folder')",
        "import os\nos.chdir('/tmp')\nopen('/home/student/new', 'w').close()",
        "import os\nos.remove('there')",
        "import torch\ntorch.save(torch.ones(2), 'x.pt')",
        "import numpy as np\nnp.save('/tmp/x.npy', np.ones(2))",
        "import subprocess\nsubprocess.run(['true'])",
        "!true\n",
        "import os\nif os.fork() == 0: os._exit(0)",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(5,)).start()",
        "import threading\nthread = threading.Thread(target=int)\nthread.start()\nthread.join()",
        "import time\ntime.sleep(0.02)",
        # What follows may run twice, but a copy does not become what the notebook is.
        "assert os.getpid() == here",
        "figure = plt.figure()\nx = 1",
        "get_ipython().events.register('post_run_cell', lambda result: globals().update(x=5))\nx = 4",
    ],
)
def test_a_cell_that_a_copy_cannot_follow_ends_it(notebook, cell):
    notebook.run(
        "import os\nimport matplotlib.pyplot as plt\nopen('there', 'w').write('x')\nhere = os.getpid()"
    )
    notebook.copies.keep(notebook.copies.new())
    notebook.run(cell)
    assert notebook.copies.take() is None


def test_an_ordinary_cell_has_nothing_that_happens_once(notebook):
    cell = "import torch\nprint(torch.ones(2), len(open('/proc/self/status').read()))"
    assert notebook.run(cell)["once"] is False


def test_a_cell_that_failed_fails_in_the_copy_too(notebook, sandbox):
    notebook.copies.keep(notebook.copies.new())
    for cell in ("x = 2\nassert x == 3, f'x is {x}'\ny = 4", "z = 1 +", "1 / 0"):
        reply = sandbox.run_cell(cell, wall_s=5.0, output_bytes=1000)
        notebook.copies.ran(cell, {**reply, "wall_s": 0.001})
    found = notebook.copies.take()
    assert found is not None and student(found).x == 2
    with pytest.raises(NotDefined):
        student(found).get("y")
    found.close()


@pytest.mark.parametrize(
    "cell",
    [
        "%time x = 5\n",
        "x = await five()",
        "from __future__ import annotations\nx = 5",
    ],
)
def test_what_only_ipython_can_run_it_runs(notebook, cell):
    notebook.run("async def five(): return 5")
    kept = notebook.copies.new()
    notebook.copies.keep(kept)
    notebook.run(cell)
    notebook.run("y = x\nz = 1")
    found = notebook.copies.take()
    assert found is kept
    assert (student(found).x, student(found).y) == (5, 5)
    found.close()


def test_an_object_that_cannot_be_looked_at_only_ends_the_following(notebook):
    notebook.run(
        "class Odd:\n    def __getattribute__(self, name): raise SystemExit(name)\n"
        "odd, x = Odd(), 1\ndef f(): return x"
    )
    kept = notebook.copies.new()
    assert student(kept).f() == 1
    notebook.copies.confirmed = True
    notebook.copies.tidy(kept)
    assert student(kept).f() == 1
    assert not notebook.copies.as_new(kept)
    notebook.copies.keep(kept)
    notebook.run("x = 2")
    assert notebook.copies.take() is None
    with notebook.copies.new() as fresh:
        assert student(fresh).f() == 2


def test_a_copy_that_has_died_is_not_kept(notebook):
    notebook.run("import os\ndef f(): os._exit(3)")
    kept = notebook.copies.new()
    with pytest.raises(SandboxDied):
        student(kept).f()
    notebook.copies.keep(kept)
    assert notebook.copies.take() is None


def test_one_that_the_notebook_has_killed_is_replaced(notebook):
    notebook.run("import os, signal\nx = 1")
    kept = notebook.copies.new()
    notebook.copies.keep(kept)
    notebook.run("os.kill(-1, signal.SIGKILL)")
    assert notebook.copies.take() is None
    with notebook.copies.new() as fresh:
        assert student(fresh).x == 1


def test_a_copy_that_could_not_follow_is_not_asked_again(notebook):
    notebook.run("import os\nhere = os.getpid()")
    notebook.copies.keep(notebook.copies.new())
    notebook.run("y = 1\nassert os.getpid() == here\nz = 2")
    assert notebook.copies.take() is None
    notebook.run("x = 1")  # a task without checks: nobody asked for a new copy
    assert notebook.copies.take() is None
    with notebook.copies.new() as fresh:
        assert (student(fresh).x, student(fresh).z) == (1, 2)


def test_without_sharing_none_is_kept(notebook):
    notebook.copies.shared = False
    notebook.copies.keep(notebook.copies.new())
    assert notebook.copies.take() is None


def test_a_cell_that_used_up_the_memory_ends_with_a_memory_error_and_the_rest_goes_on(zygote):
    source = """
import numpy as np
keep, size = [], 1 << 24
while size >= 4096:
    try:
        keep.append(np.empty(size, dtype=np.uint8))  # nothing is written to it
    except MemoryError:
        size //= 2
small = []
while True:
    small.append([None] * 3)
"""
    for last in ("", "sum(map(len, keep))"):
        with zygote.spawn(Limits(memory_mb=400), seed=1) as sandbox:
            reply = sandbox.run_cell(source + last, wall_s=20.0, output_bytes=10_000)
            assert reply["error"].startswith("MemoryError") and reply["outputs"][0]["ename"] == "MemoryError"
            with sandbox.branch() as branch:
                assert student(branch).size < 4096
            assert sandbox.run_cell("del keep", wall_s=5.0, output_bytes=1000)["error"] is None
            assert sandbox.run_cell("x = bytes(1 << 24)", wall_s=5.0, output_bytes=1000)["error"] is None


@pytest.mark.parametrize(
    ("change", "as_new"), [("pass", True), ("x.append(1)", False), ("globals()['y'] = 3", True)]
)
def test_a_failure_in_a_used_copy_is_believed_where_no_check_left_anything(notebook, change, as_new):
    notebook.run(f"x = []\ny = 2\ndef f():\n    {change}")
    used = notebook.copies.new()
    student(used).f()
    notebook.copies.tidy(used)
    assert not notebook.copies.as_new(used), "none has failed in a new copy yet"
    notebook.copies.confirmed = True
    assert not notebook.copies.as_new(used), "it was not put back"
    student(used).f()
    notebook.copies.tidy(used)
    assert student(used).y == 2
    assert notebook.copies.as_new(used) is as_new
    notebook.copies.keep(used)
