"""Tiny notebooks and courses for the tests of the nbgrader-facing modules."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbgrader import api

from autograder.limits import Limits
from autograder.models import (
    CellResult,
    CheckResult,
    Explanation,
    NotebookResult,
    Outcome,
    TaskKind,
    TaskResult,
    TaskSpec,
    worst,
)
from autograder.notebook import load_assignment, prepare, read

__all__ = [
    "answer",
    "cell",
    "code",
    "course_cells",
    "grade_in_process",
    "graded",
    "locked",
    "nbgrader",
    "notebook",
    "solution",
    "write",
]


REPOSITORY = Path(__file__).resolve().parent.parent

# For each new gradebook nbgrader asks the command alembic for its newest schema: the same answer after 1.8 s.
api.get_alembic_version = functools.cache(api.get_alembic_version)


def cell(kind: str, source: str, identity: str, **nbgrader: Any) -> dict[str, Any]:
    """One cell; ``nbgrader`` are the flags of its nbgrader metadata, none for an ordinary cell."""
    made: dict[str, Any] = {"id": identity, "cell_type": kind, "metadata": {}, "source": source}
    if nbgrader:
        flags = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
        made["metadata"] = {"nbgrader": flags | nbgrader}
    if kind == "code":
        made |= {"outputs": [], "execution_count": None}
    return made


def code(source: str, identity: str = "plain") -> dict[str, Any]:
    return cell("code", source, identity)


def locked(grade_id: str, source: str, kind: str = "markdown") -> dict[str, Any]:
    return cell(kind, source, f"id-{grade_id}", grade_id=grade_id, locked=True)


def solution(task: str, source: str) -> dict[str, Any]:
    return cell("code", source, f"id-solution-{task}", grade_id=f"solution-{task}", solution=True)


def graded(task: str, points: float, source: str) -> dict[str, Any]:
    return cell("code", source, f"id-{task}", grade_id=task, grade=True, locked=True, points=points)


def answer(task: str, points: float, source: str, kind: str = "markdown") -> dict[str, Any]:
    """A question graded by hand."""
    return cell(kind, source, f"id-{task}", grade_id=task, grade=True, solution=True, points=points)


def notebook(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    spec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": spec, "language_info": {"name": "python"}},
        "cells": [json.loads(json.dumps(item)) for item in cells],
    }


def write(path: Path, cells: Sequence[Mapping[str, Any]]) -> Path:
    """A notebook file of ``cells`` at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook(cells), indent=1) + "\n", encoding="utf-8")
    return path


def course_cells() -> list[dict[str, Any]]:
    """The instructor's notebook of the tests: two tasks in code, one with hidden tests, one by hand."""
    return [
        locked("card-double", "# Double\nGive twice of x."),
        solution("double", "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"),
        graded(
            "double",
            2,
            "assert double(2) == 4\n### BEGIN HIDDEN TESTS\nassert double(7) == 14\n### END HIDDEN TESTS",
        ),
        code("print('a plot, say')", "plot"),
        solution("half", "def half(x):\n    ### BEGIN SOLUTION\n    return x / 2\n    ### END SOLUTION"),
        graded("half", 3, "assert half(4) == 2"),
        answer("why", 1, "### BEGIN SOLUTION\nBecause.\n### END SOLUTION"),
    ]


def grade_in_process(
    assignment: str, path: Path, suite_tasks: frozenset[str] = frozenset()
) -> NotebookResult:
    """The result of running a harmless notebook here, without sandbox or suite: tasks pass when they run."""
    nb = load_assignment(_source_of(path, assignment), suite_tasks)
    prepared = prepare(read(path, Limits()), nb)
    namespace: dict[str, Any] = {}
    failures: dict[str, str] = {}
    cells = []
    for item in prepared.cells:
        if item.cell_type != "code":
            continue
        printed = io.StringIO()
        outputs: list[dict[str, Any]] = []
        outcome = Outcome.PASSED
        try:
            with contextlib.redirect_stdout(printed):
                exec(item.source, namespace)
        except Exception as error:
            outcome = Outcome.ERROR
            failures[item.task_id or ""] = f"{type(error).__name__}: {error}"
            told = {"ename": type(error).__name__, "evalue": str(error), "traceback": [repr(error)]}
            outputs = [{"output_type": "error", **told}]
        if printed.getvalue():
            outputs.insert(0, {"output_type": "stream", "name": "stdout", "text": printed.getvalue()})
        cells.append(
            CellResult(
                item.index, item.grade_id, outcome, outputs=tuple(outputs), execution_count=len(cells) + 1
            )
        )
    tasks = tuple(_task(spec, failures.get(spec.id)) for spec in prepared.tasks)
    return NotebookResult(
        assignment=assignment,
        name=nb.name,
        score=sum(task.score or 0.0 for task in tasks),
        max_score=sum(task.max_score for task in tasks),
        needs_manual_grade=any(task.kind is TaskKind.MANUAL for task in tasks),
        outcome=worst(task.outcome for task in tasks),
        tasks=tasks,
        cells=tuple(cells),
        notices=prepared.notices,
        notebook=prepared.nb,
    )


def _source_of(path: Path, assignment: str) -> Path:
    """The instructor's notebook: ``path`` itself, or the one of the course above it or of the process."""
    for folder in path.parents:
        source = folder / "source" / assignment / path.name
        if source.is_file():
            return source
    raise AssertionError(f"no source for {path}")


def _task(spec: TaskSpec, failure: str | None) -> TaskResult:
    if spec.kind is TaskKind.MANUAL:
        return TaskResult(spec.id, spec.kind, None, spec.max_score)
    score = 0.0 if failure else spec.max_score
    outcome = Outcome.FAILED if failure else Outcome.PASSED
    told = Explanation(failure) if failure else None
    check = CheckResult(f"{spec.id} runs", spec.id, outcome, spec.max_score, score, told)
    return TaskResult(spec.id, spec.kind, score, spec.max_score, (check,))


def nbgrader(root: Path, *arguments: str) -> str:
    """What the nbgrader command says when it is run at ``root``; it must succeed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr
