"""The short way of plain cells gives what IPython's own gives."""

from __future__ import annotations

import codeop
import inspect
import json
from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from autograder.sandbox.frontend import Frontend
from autograder.sandbox.pristine import Pristine

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
GIVEN = (
    "x = 1\nx + 1",
    "x = 1\nprint(x)\nx;",
    '"""Text."""\n\n\ndef f(a, *, b=2):\n    """Adds."""\n    return [a + i for i in range(b)]\n\n\nf(1)',
    "class A:\n    def f(self):\n        return super().__repr__()\n\nprint(A.f.__qualname__)",
    "def f():\n    def g():\n        raise ValueError('inside')\n    g()\n\nf()",
    "x = 1\nassert x == 2, f'x is {x}'\nprint('never')",
    "print('first')\nreturn 5",
    "from __future__ import annotations\ndef f(a: Unknown): ...\nprint(f.__annotations__)",
    "async def f():\n    return 5\n\nawait f()",
    "x = 1\nx = = 2",
)


@pytest.fixture(scope="module")
def frontend():
    made = Frontend()
    yield made
    type(made.shell).clear_instance()


@pytest.fixture
def shell(frontend):
    return frontend.shell


@pytest.fixture
def learned(frontend):
    """The front end, which knows the cells ``GIVEN``; run by :func:`shown`."""
    frontend.shell.compiler.learn(GIVEN)
    yield frontend
    frontend.shell.compiler.forget()


def shown(frontend, source, **options):
    """What a student sees of a cell; as cell 1."""
    compiler = frontend.shell.compiler
    frontend.shell.execution_count, flags = 1, compiler.flags
    reply = frontend.run_cell(source, wall_s=10.0, output_bytes=10_000, **options)
    compiler.flags = flags  # which a cell with a future import has changed
    return {name: value for name, value in reply.items() if name != "wall_s"}


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


@pytest.mark.parametrize("source", GIVEN)
def test_a_cell_that_is_known_does_what_any_cell_does(learned, source):
    found = [shown(learned, source) for _ in range(2)]
    learned.shell.compiler.forget()
    assert found == [shown(learned, source)] * 2


def test_code_of_a_known_cell_has_the_name_of_the_cell_that_runs(learned, monkeypatch):
    known = GIVEN[2]
    monkeypatch.delattr(codeop.Compile, "__call__")  # nothing is compiled for it
    learned.shell.execution_count = 7
    assert learned.run_cell(known, wall_s=10.0, output_bytes=1000)["error"] is None
    function = learned.names["f"]
    assert function.__code__.co_filename.startswith("<ipython-input-7-")
    assert inspect.getsource(function) in known + "\n"
    inner = next(item for item in function.__code__.co_consts if inspect.iscode(item))
    assert inner.co_filename == function.__code__.co_filename


def test_students_who_transform_trees_get_their_own(learned):
    shell, seen = learned.shell, []

    class Keep:
        def visit(self, tree):
            seen.append(tree)
            return tree

    shell.ast_transformers.append(Keep())
    try:
        shown(learned, GIVEN[0])
    finally:
        shell.ast_transformers.clear()
    assert len(seen) == 1
    assert seen[0] is not shell.compiler.tree(GIVEN[0] + "\n")


def test_a_plain_test_cell_is_not_taken_from_what_students_may_have_changed(learned):
    learned._pristine = Pristine(learned.shell)
    compiler, cell = learned.shell.compiler, GIVEN[5]
    for tree in compiler._known.values():
        tree.body.clear()
    compiler._codes.clear()
    assert shown(learned, cell)["error"] is None  # the student's own affair
    assert shown(learned, cell, pristine=True)["error"] == "AssertionError: x is 1"
