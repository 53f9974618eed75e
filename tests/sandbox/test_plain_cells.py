"""The short way of plain cells gives what IPython's own gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from autograder.sandbox.frontend import Frontend

ROOT = Path(__file__).resolve().parents[2]
IPYTHONS_OWN = (
    "ls",
    "\n\npwd\n",
    "%time x = 1\ny = 2",
    "y = 2\n!echo hi",
    "files = !ls\nfiles",
    "x = %pwd\nx",
    "%%bash\necho hi\n",
    "print?\nx = 1",
    "x = 1\nprint??",
    ">>> x = 1\n>>> x",
    "In [1]: x = 1\nIn [2]: x",
    "    x = 1\n    x",
    "  # a comment\nif True:\n    x = 1",
    "x = 1\n...\nx",
)
PLAIN = (
    "x = 1\nx",
    "\n\n\nx = 1\n\n# %magic in a comment\ny = 2  # !ls",
    "s = '''\n%time\n!ls\n'''\ns",
    "z = (7\n%3)\nz",
    "x = 5 \\\n% 3\nx",
    "from __future__ import annotations\ndef f(a: B): ...\n",
    "@decorated\ndef f(): pass",
    "x = 1;\nx;",
    "x = 1\r\ny = 2\r\n",
    "async def f():\n    return await g()\n",
    "def f():\n\n    ...",
)


@pytest.fixture(scope="module")
def shell():
    frontend = Frontend()
    yield frontend.shell
    type(frontend.shell).clear_instance()


def cells():
    for path in sorted(ROOT.glob("solutions/*/*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield "".join(cell["source"])


@pytest.mark.parametrize("source", [*IPYTHONS_OWN, *PLAIN])
def test_a_cell_becomes_what_ipython_makes_of_it(shell, source):
    ours = shell.transform_cell(source)
    if source in PLAIN:
        assert shell.compiler.parsed is not None
        assert ours == TransformerManager().transform_cell(source)
    else:
        assert shell.compiler.parsed is None


def test_the_cells_of_the_course_take_the_short_way_and_stay_as_they_are(shell):
    short = 0
    for source in cells():
        ours = shell.transform_cell(source)
        short += shell.compiler.parsed is not None
        assert ours == TransformerManager().transform_cell(source)
    assert short > 100


def test_transformers_of_the_students_own_are_used(shell):
    shell.input_transformers_post.append(lambda lines: [line.replace("x", "y") for line in lines])
    try:
        assert shell.transform_cell("x = 1\nx") == "y = 1\ny\n"
    finally:
        shell.input_transformers_post.clear()


@pytest.mark.parametrize("source", ["x = 1\nawait x\n", "x = 1\nasync with x: pass\n"])
def test_awaiting_cells_are_run_as_such(shell, source):
    transformed = shell.transform_cell(source)
    assert shell.should_run_async(source, transformed_cell=transformed) is True
