"""The records that grading writes without a suite: unreadable files, plain test cells, cells that died."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from autograder.assignment import AssignmentNotebook
from autograder.credit import partial_credit
from autograder.errors import SandboxDied, SandboxError, SandboxTimeout, WireError
from autograder.judge.session import Suite
from autograder.judge.verdict import not_run
from autograder.models import (
    CellResult,
    CheckResult,
    Explanation,
    NotebookResult,
    Outcome,
    TaskKind,
    TaskSpec,
)
from autograder.notebook import PreparedCell, PreparedNotebook
from autograder.outputs import clean_count, clean_outputs, without_frames
from autograder.plain import plain
from autograder.scoring import notebook_totals, task_result

__all__ = [
    "cell_death",
    "cell_outcome",
    "cell_result",
    "graded_notebook",
    "in_kernel",
    "in_kernel_error",
    "lost",
    "no_checks_run",
    "unreadable",
]

_NOTED: Final = (Outcome.TIMEOUT, Outcome.MEMORY, Outcome.HOSTILE, Outcome.OUTPUT_LIMIT)
"""Outcomes of a cell that its outputs mention."""


def unreadable(
    assignment: str,
    notebook: AssignmentNotebook,
    suite: Suite | None,
    message: str,
    digest: str | None = None,
) -> NotebookResult:
    """The result of a file that is no notebook: 0 points, every check NOT_RUN, and the reason."""
    tasks = tuple(
        task_result(spec, no_checks_run(spec, suite, "the file cannot be read")) for spec in notebook.tasks
    )
    score, max_score = notebook_totals(tasks)
    return NotebookResult(
        assignment=assignment,
        name=notebook.name,
        score=score,
        max_score=max_score,
        needs_manual_grade=any(spec.kind is TaskKind.MANUAL for spec in notebook.tasks),
        outcome=Outcome.ERROR,
        tasks=tasks,
        message=message,
        notebook_sha256=digest,
    )


def no_checks_run(spec: TaskSpec, suite: Suite | None, why: str) -> tuple[CheckResult, ...]:
    """Records of a task that was never judged."""
    if spec.kind is TaskKind.MANUAL:
        return ()
    if spec.kind is TaskKind.SUITE and suite is not None:
        return tuple(not_run(check, why) for check in suite.checks[spec.id])
    return (
        CheckResult(spec.id, spec.id, Outcome.NOT_RUN, spec.max_score, 0.0, Explanation(f"Not run: {why}.")),
    )


def in_kernel(spec: TaskSpec, cell: CellResult) -> CheckResult:
    """A plain nbgrader test cell: full points when it ran through, or the number its last expression gave.

    Of what is no number of points (NaN, negative, text, too much) nbgrader makes full points or none at all;
    here it gives none and says so, since only the instructor can mend it.
    """
    score = spec.max_score if cell.outcome in (Outcome.PASSED, Outcome.OUTPUT_LIMIT) else 0.0
    outcome, text = cell.outcome, cell.message
    results = [output for output in cell.outputs if output["output_type"] == "execute_result"]
    if cell.outcome in (Outcome.PASSED, Outcome.OUTPUT_LIMIT) and results:
        # The last one: what a student's function displays during the test comes before the cell's own.
        shown = results[-1]["data"].get("text/plain", "")
        score, text = partial_credit(spec, shown)
        outcome = Outcome.PASSED if score == spec.max_score and text is None else Outcome.FAILED
    elif outcome is Outcome.ERROR:
        outcome = Outcome.FAILED
    explanation = (
        None if outcome is Outcome.PASSED else Explanation(text or f"{score:g} of {spec.max_score:g} points.")
    )
    return CheckResult(spec.id, spec.id, outcome, spec.max_score, score, explanation, wall_s=cell.wall_s)


def in_kernel_error(spec: TaskSpec, error: BaseException) -> CheckResult:
    """The record of a plain test cell that the engine could not run."""
    return CheckResult(spec.id, spec.id, Outcome.ENGINE_ERROR, spec.max_score, None, Explanation(str(error)))


def lost(record: CheckResult, error: SandboxError) -> CheckResult:
    """``record`` with the outcome of a sandbox that ended under it."""
    outcome = Outcome.TIMEOUT if isinstance(error, SandboxTimeout) else Outcome.ERROR
    if isinstance(error, SandboxDied) and error.memory:
        outcome = Outcome.MEMORY
    elif isinstance(error, WireError) or (isinstance(error, SandboxDied) and (error.status or -1) >= 0):
        outcome = Outcome.HOSTILE
    return replace(record, outcome=outcome)


def graded_notebook(prepared: PreparedNotebook, done: Mapping[int, CellResult]) -> dict[str, Any]:
    """The submission's nbformat dict with the outputs of this run, by the index of the cell."""
    shown = []
    for cell, source in zip(prepared.nb["cells"], prepared.cells, strict=True):
        result = done.get(source.index)
        if result is not None:
            outputs = [dict(output) for output in result.outputs]
            cell = {**cell, "outputs": outputs, "execution_count": result.execution_count}
        shown.append(cell)
    return {**prepared.nb, "cells": shown}


def cell_outcome(reply: Mapping[str, Any], wall_s: float) -> tuple[Outcome, str | None]:
    """Outcome of a cell from what its sandbox says of it, and a message."""
    if reply.get("timeout") is True:
        return Outcome.TIMEOUT, f"Stopped after {wall_s:g} s: look for a loop that never ends."
    error = reply.get("error")
    if error is not None:
        return Outcome.ERROR, plain(str(error)[:2000])
    if reply.get("truncated") is True:
        return Outcome.OUTPUT_LIMIT, "It printed more than allowed; the rest was dropped."
    return Outcome.PASSED, None


def cell_result(
    cell: PreparedCell, reply: Mapping[str, Any], outcome: Outcome, message: str | None
) -> CellResult:
    """The record of a cell that the sandbox says ``reply`` about, or nothing."""
    outputs = clean_outputs(reply.get("outputs"), message if outcome in _NOTED else None)
    if cell.source != cell.display_source:
        outputs = [without_frames(output) for output in outputs]  # they quote hidden tests
    claim = reply.get("wall_s")
    return CellResult(
        index=cell.index,
        id=cell.grade_id,
        outcome=outcome,
        wall_s=claim if type(claim) is float and math.isfinite(claim) else 0.0,
        message=message,
        outputs=tuple(outputs),
        execution_count=clean_count(reply.get("execution_count")),
    )


def cell_death(error: SandboxError, wall_s: float) -> tuple[Outcome, str]:
    """Outcome of a cell that ended its sandbox, and why."""
    if isinstance(error, SandboxTimeout):
        return Outcome.TIMEOUT, f"it did not stop after {wall_s:g} s and was ended."
    if isinstance(error, WireError):
        return Outcome.HOSTILE, f"it wrote to the grader's own channel ({error})."
    if isinstance(error, SandboxDied) and error.memory:
        return Outcome.MEMORY, "it needed more memory than allowed and was ended."
    status = error.status if isinstance(error, SandboxDied) else None
    outcome = Outcome.HOSTILE if status is not None and status >= 0 else Outcome.ERROR
    return outcome, f"{error}."
