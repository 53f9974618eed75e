"""The cells that students get as they are."""

from __future__ import annotations

import json

from autograder.released import given_cells


def cell(source, kind="code", **told):
    return {"cell_type": kind, "metadata": {"nbgrader": told} if told else {}, "source": source}


def notebook(*cells):
    return json.dumps({"cells": cells}).encode()


def test_given_cells_are_those_without_anything_that_students_must_not_see():
    given = ["import torch", "assert f(1) == 2", "x = 3\nx"]
    found = given_cells(
        [
            notebook(
                cell(given[0]),
                cell("# A title", "markdown"),
                cell("def f(x):\n    return x + 1", solution=True, grade=False, locked=False),
                cell("def g(x):\n    return x - 1", solution=True, grade=False, locked=True),
                cell("### BEGIN SOLUTION\ny = 4\n### END SOLUTION"),
                cell(given[1].splitlines(keepends=True), grade=True, locked=True, solution=False),
                cell("assert 1\n### BEGIN HIDDEN TESTS\nassert f(5) == 6\n### END HIDDEN TESTS", grade=True),
                cell("### AUTOTEST f(2)", grade=True, locked=True),
                cell(given[2], solution=False, locked=True),
                cell(""),
            ),
            notebook(cell(given[0])),
        ]
    )
    assert found == tuple(given)


def test_a_file_that_is_no_notebook_has_none():
    broken = [b"", b"{", b"[]", b'{"cells": 5}', b'{"cells": [5]}', b"\xff", b"[" * 100_000]
    broken.append(notebook(cell("x = '\ud800'")))
    unclosed = notebook(cell("### BEGIN HIDDEN TESTS\nx = 1"))
    assert given_cells([*broken, unclosed, notebook(cell("x = 1"))]) == ("x = 1",)
