"""Hand-made results to render, compare and print: every outcome and every kind of task in one place."""

# ruff: noqa: E501 (tables of results read better than wrapped calls)
from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import replace
from typing import Any

from autograder.models import (
    CellResult,
    CheckResult,
    Explanation,
    NotebookResult,
    Outcome,
    TaskKind,
    TaskResult,
)

REPRODUCE = """import torch

generator = torch.Generator().manual_seed(1804289383)
W = torch.randn(5, 3, generator=generator)
x = torch.randn(3, generator=generator)
b = torch.randn(5, generator=generator)
affine(W, x, b)
"""

AFFINE = '''def affine(W: torch.Tensor, x: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """y = W x + b.   W: (o, i), x: (i,), b: (o,) -> y: (o,)"""
    return W @ x + b[:, None]
'''


def png(width: int = 240, height: int = 120) -> str:
    """A real PNG, base64: a smooth gradient."""
    rows = b"".join(
        b"\x00" + b"".join(bytes((40 + 180 * x // width, 120, 220 - 160 * y // height)) for x in range(width))
        for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + data).decode()


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def display(**bundle: str) -> dict[str, Any]:
    data = {kind.replace("_", "/", 1).replace("svg", "svg+xml"): value for kind, value in bundle.items()}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def error(name: str, value: str, traceback: list[str]) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": traceback}


def code(
    source: str, grade_id: str | None = None, *, grade: bool = False, solution: bool = False
) -> dict[str, Any]:
    cell = {
        "cell_type": "code",
        "id": f"c{abs(hash(source)) % 10**8}",
        "source": source,
        "metadata": {},
        "outputs": [],
    }
    if grade_id is not None:
        locked = not solution
        cell["metadata"] = {
            "nbgrader": {
                "grade_id": grade_id,
                "grade": grade,
                "solution": solution,
                "locked": locked,
                "schema_version": 3,
            }
        }
    return cell


def markdown(source: str, grade_id: str | None = None) -> dict[str, Any]:
    cell = code(source, grade_id, grade=grade_id is not None, solution=grade_id is not None)
    del cell["outputs"]
    return {**cell, "cell_type": "markdown"}


def passed(id: str, task: str, points: float = 1.0) -> CheckResult:
    return CheckResult(id, task, Outcome.PASSED, points, points, seed=1804289383, wall_s=0.01)


def failed(
    id: str,
    task: str,
    explanation: Explanation,
    *,
    outcome: Outcome = Outcome.FAILED,
    points: float = 1.0,
    **more: Any,
) -> CheckResult:
    score = None if outcome is Outcome.ENGINE_ERROR else 0.0
    return CheckResult(id, task, outcome, points, score, explanation, seed=1804289383, wall_s=0.01, **more)


COLUMN_BIAS = Explanation(
    summary="b of shape (out, 1) was broadcast: the result is (out, out). b needs shape (out,).",
    called="affine(W: (5, 3) float32, x: (3,) float32, b: (5,) float32)",
    expected="a tensor of shape (5,)",
    got="a tensor of shape (5, 5)",
    hint="Print (W @ x).shape and b.shape before you add them: two different shapes that still add up is broadcasting.",
    slide="01.04 Tensor operations (affine transformation)",
    reproduce=REPRODUCE,
)


def notebook(cells: list[dict[str, Any]]) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


def typical() -> NotebookResult:
    """A student's evening: most tasks done, one known mistake, one exception, one loop, one task for a person."""
    cells = [
        markdown("# Exercise 1 · Tensors\n\nEverything in this course is a tensor."),
        code("import torch\nimport numpy as np"),
        markdown("## Task `make_tensors` ★☆☆\n\n**3 points**"),
        code(
            "def make_tensors(data, arr):\n    return {'list': torch.tensor(data, dtype=torch.float32)}\n",
            "solution-make_tensors",
            solution=True,
        ),
        code(
            "made = make_tensors([1], np.ones(2))\nassert set(made) == {'list'}", "make_tensors", grade=True
        ),
        markdown("## Task `affine` ★★☆\n\n**4 points**"),
        code(AFFINE, "solution-affine", solution=True),
        code("plt.imshow(affine(W, x, b))"),
        code(
            "y = affine(W, x, b)\nassert y.shape == (2,), f'affine returned shape {tuple(y.shape)}, not (2,)'",
            "affine",
            grade=True,
        ),
        markdown("## Task `elementwise` ★☆☆"),
        code(
            "def elementwise(A):\n    return A^2, A.sqrt(), A.sum()\n", "solution-elementwise", solution=True
        ),
        code("elementwise(torch.ones(2, 2))", "elementwise", grade=True),
        markdown("## Task `slices` ★☆☆"),
        code("def slices(x):\n    while True:\n        pass\n", "solution-slices", solution=True),
        code("slices(torch.arange(10))", "slices", grade=True),
        markdown("## Task `old_style` ★☆☆"),
        code("def add(a, b):\n    return a + b\n", "solution-old_style", solution=True),
        code("assert add(2, 3) == 5\n", "old_style", grade=True),
        markdown("## Task `why` ★☆☆"),
        markdown("Because two shapes that differ are stretched to fit, and nobody asked me.", "why"),
        code("print('epoch 1\\n' * 3)"),
    ]
    results = (
        CellResult(1, None, Outcome.PASSED, 0.01, execution_count=1),
        CellResult(3, "solution-make_tensors", Outcome.PASSED, 0.001, execution_count=2),
        CellResult(4, "make_tensors", Outcome.PASSED, 0.001, execution_count=3),
        CellResult(6, "solution-affine", Outcome.PASSED, 0.001, execution_count=4),
        CellResult(
            7,
            None,
            Outcome.PASSED,
            0.2,
            outputs=(
                stream("tensor([[13., 23.],\n        [17., 27.]])\n"),
                display(image_png=png(), text_plain="<Figure size 240x120>"),
            ),
            execution_count=5,
        ),
        CellResult(
            8,
            "affine",
            Outcome.ERROR,
            0.001,
            message="AssertionError",
            outputs=(
                error(
                    "AssertionError",
                    "affine returned shape (2, 2), not (2,)",
                    [
                        "\x1b[31m-----\x1b[0m",
                        "\x1b[31mAssertionError\x1b[0m   Traceback (most recent call last)",
                        "Cell In[6], line 2",
                        "\x1b[32m----> 2\x1b[39m assert y.shape == (2,)",
                        "\x1b[31mAssertionError\x1b[0m: affine returned shape (2, 2), not (2,)",
                    ],
                ),
            ),
            execution_count=6,
        ),
        CellResult(10, "solution-elementwise", Outcome.PASSED, 0.001, execution_count=7),
        CellResult(
            11,
            "elementwise",
            Outcome.ERROR,
            0.001,
            message="NotImplementedError",
            outputs=(
                error(
                    "NotImplementedError",
                    "\"bitwise_xor_cpu\" not implemented for 'Float'",
                    ["NotImplementedError: \"bitwise_xor_cpu\" not implemented for 'Float'"],
                ),
            ),
            execution_count=8,
        ),
        CellResult(13, "solution-slices", Outcome.PASSED, 0.001, execution_count=9),
        CellResult(
            14,
            "slices",
            Outcome.TIMEOUT,
            10.0,
            message="Stopped after 10 s: look for a loop that never ends.",
            outputs=(stream("[grader] Stopped after 10 s: look for a loop that never ends.\n", "stderr"),),
            execution_count=10,
        ),
        CellResult(16, "solution-old_style", Outcome.PASSED, 0.001, execution_count=11),
        CellResult(17, "old_style", Outcome.PASSED, 0.001, execution_count=12),
        CellResult(
            20,
            None,
            Outcome.PASSED,
            0.001,
            outputs=(stream("epoch 1\n" * 3), stream("UserWarning: this is only a warning\n", "stderr")),
            execution_count=13,
        ),
    )
    checks = (
        passed("test_make_tensors_values", "make_tensors"),
        passed("test_make_tensors_dtype", "make_tensors"),
        passed("test_make_tensors_copies", "make_tensors"),
    )
    tasks = (
        TaskResult("make_tensors", TaskKind.SUITE, 3.0, 3.0, checks),
        TaskResult(
            "affine",
            TaskKind.SUITE,
            1.0,
            4.0,
            (
                passed("test_affine_runs", "affine"),
                failed("test_affine_any_shape", "affine", COLUMN_BIAS, points=2.0, mistake="column_bias"),
                failed(
                    "test_affine_gradient",
                    "affine",
                    Explanation("The gradient could not be compared.", got="a tensor of shape (4, 4)"),
                ),
            ),
        ),
        TaskResult(
            "elementwise",
            TaskKind.SUITE,
            0.0,
            2.0,
            (
                failed(
                    "test_elementwise_ones",
                    "elementwise",
                    Explanation(
                        "Your elementwise raised NotImplementedError: \"bitwise_xor_cpu\" not implemented for 'Float'",
                        called="elementwise(A: (2, 2) float32)",
                        hint="In Python ^ is XOR. A square is A ** 2.",
                        traceback="Cell In[7], line 2, in elementwise(A)\n      1 def elementwise(A):\n----> 2     return A^2, A.sqrt(), A.sum()\n\nNotImplementedError: \"bitwise_xor_cpu\" not implemented for 'Float'",
                    ),
                    outcome=Outcome.ERROR,
                    mistake="xor_for_square",
                ),
                failed(
                    "test_elementwise_negative",
                    "elementwise",
                    Explanation("Not run: an earlier check of this task raised."),
                    outcome=Outcome.NOT_RUN,
                ),
            ),
        ),
        TaskResult(
            "slices",
            TaskKind.SUITE,
            0.0,
            2.0,
            (
                failed(
                    "test_slices",
                    "slices",
                    Explanation(
                        "slices(x) did not come back within 10 s.",
                        called="slices(x: (10,) int64)",
                        hint="Look for a loop that never ends.",
                    ),
                    outcome=Outcome.TIMEOUT,
                    points=2.0,
                ),
            ),
        ),
        TaskResult("old_style", TaskKind.IN_KERNEL, 1.0, 1.0, (passed("old_style", "old_style"),)),
        TaskResult("why", TaskKind.MANUAL, None, 1.0),
    )
    return NotebookResult(
        assignment="ex1_tensors", name="ex1_tensors", score=5.0, max_score=13.0, needs_manual_grade=True,
        outcome=Outcome.TIMEOUT, tasks=tasks, cells=results,
        notices=("Test cell 'affine' had been changed: it was restored before grading.",),
        notebook=notebook(cells), notebook_sha256="0" * 64, seed=17, wall_s=0.4,
    )  # fmt: skip


def perfect() -> NotebookResult:
    base = typical()
    tasks = tuple(
        TaskResult(id, TaskKind.SUITE, points, points, (passed(f"test_{id}_values", id, points),))
        for id, points in (("make_tensors", 3.0), ("affine", 4.0), ("elementwise", 2.0), ("slices", 2.0))
    )
    cells = tuple(replace(cell, outcome=Outcome.PASSED, outputs=()) for cell in base.cells)
    return replace(
        base,
        tasks=tasks,
        score=11.0,
        max_score=11.0,
        needs_manual_grade=False,
        outcome=Outcome.PASSED,
        notices=(),
        cells=cells,
    )


def unreadable() -> NotebookResult:
    """A truncated file."""
    tasks = tuple(
        TaskResult(id, TaskKind.SUITE, 0.0, 2.0, (failed(f"test_{id}", id, Explanation("Not run: the file cannot be read."), outcome=Outcome.NOT_RUN, points=2.0),))
        for id in ("make_tensors", "affine")
    )  # fmt: skip
    message = (
        "The file ends in the middle: line 212 is not complete, so the notebook was not saved or uploaded to its end. "
        "Open it in Jupyter, save it again, check that it opens, and submit it again."
    )
    return NotebookResult(
        "ex1_tensors",
        "ex1_tensors",
        0.0,
        4.0,
        False,
        Outcome.ERROR,
        tasks,
        message=message,
        notebook_sha256="1" * 64,
    )


def engine_error() -> NotebookResult:
    """Our fault: one task could not be judged."""
    base = typical()
    check = failed(
        "test_affine_any_shape",
        "affine",
        Explanation("KeyError: 'W' in test_1_create.py"),
        outcome=Outcome.ENGINE_ERROR,
        points=4.0,
    )
    tasks = tuple(
        replace(task, score=None, checks=(check,)) if task.id == "affine" else task for task in base.tasks
    )
    return replace(base, tasks=tasks, score=None, outcome=Outcome.ENGINE_ERROR)


HOSTILE_TEXT = (
    "</details></pre><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }} {% raw %} "
    "\x00\x08\x1b[31mred\x1b[0m \ud800 \u202eevil\u202c &lt;b&gt; ' \" ` javascript:alert(3)"
)


def hostile() -> NotebookResult:
    """Everything a student could put into a result, hostile."""
    bad = HOSTILE_TEXT
    explanation = Explanation(bad, bad, bad, bad, bad, bad, bad, bad)
    outputs = (
        stream(bad),
        stream("x" * 3_000_000),
        display(text_html=bad, application_javascript=bad),
        display(image_svg=f"<svg onload=alert(1)>{bad}</svg>"),
        display(image_png="bm90IGEgcG5n", text_plain=bad),
        display(image_png=bad),
        error(bad, bad, [bad, bad]),
        {"output_type": bad, "data": 7},
        {"output_type": "display_data", "data": {"text/plain": 7}},
        {"output_type": "error", "ename": None, "evalue": 3, "traceback": 9},
    )
    cells = [
        markdown(f"# {bad}"),
        markdown(f"## {bad}"),
        code(bad, "solution-t", solution=True),
        code(bad, "t", grade=True),
        code(bad),
    ]
    check = failed("test_t", "t", explanation, mistake=bad)
    results = tuple(
        CellResult(index, None, Outcome.ERROR, message=bad, outputs=outputs) for index in (2, 3, 4)
    )
    return NotebookResult(
        bad, bad, 0.0, 1.0, False, Outcome.FAILED, (TaskResult("t", TaskKind.SUITE, 0.0, 1.0, (check,)),), results,
        message=bad, notices=(bad,), notebook=notebook(cells), seed=3, sandboxed=False, missing_layers=(bad,),
    )  # fmt: skip
