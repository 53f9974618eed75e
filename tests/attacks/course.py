"""The attacked assignment: two honest tasks around six attacked ones, and notebooks with attacks in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["NAME", "POINTS", "TARGETS", "Notebook", "notebook", "write_source", "write_suite"]

NAME = "attacks"
TARGETS = ("t1", "t2", "t3", "t4", "t5", "t6")
POINTS = {"first": 2.0, **dict.fromkeys(TARGETS, 6.0), "last": 2.0}
_HONEST = {"first": "def first(x):\n    return 2 * x", "last": "def last_one(x):\n    return 2 * x"}
Notebook = dict[str, Any]


def write_suite(folder: Path) -> Path:
    """The suite of the attacked assignment in ``folder``, under the names that a judge collects."""
    target = folder / NAME
    shutil.copytree(Path(__file__).with_name("suite"), target, ignore=shutil.ignore_patterns("__pycache__"))
    (target / "checks.py").rename(target / "test_targets.py")
    return target


def write_source(folder: Path) -> Path:
    """The instructor's notebook in ``folder``."""
    path = folder / f"{NAME}.ipynb"
    path.write_text(json.dumps(notebook()), encoding="utf-8")
    return path


def notebook(
    answers: Mapping[str, str] | None = None, extra: Sequence[str] = (), *, early: bool = False
) -> Notebook:
    """A submission: ``answers`` to attacked tasks by their ids, and cells of its own, before the attacked
    tasks if ``early``, behind them otherwise."""
    cells = [*_task("first", _HONEST["first"])]
    own = [code(source, id=f"own-{number}") for number, source in enumerate(extra)]
    cells += own if early else []
    for task in TARGETS:
        stub = f'def answer{task[1:]}(a, b):\n    raise NotImplementedError("Task {task}")'
        cells += _task(task, (answers or {}).get(task, stub))
    cells += [] if early else own
    cells += _task("last", _HONEST["last"])
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


def code(source: str, *, id: str, **marks: Any) -> dict[str, Any]:
    """One code cell, with nbgrader's marks if there are any."""
    meta = {"nbgrader": {"schema_version": 3, "grade_id": id, "task": False, **marks}} if marks else {}
    return {
        "cell_type": "code",
        "id": id,
        "metadata": meta,
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def _task(task: str, source: str) -> list[dict[str, Any]]:
    marks = {"grade": True, "solution": False, "locked": True, "points": POINTS[task]}
    return [
        code(source, id=f"solution-{task}", grade=False, solution=True, locked=False),
        code(f"# Task {task} is checked here.", id=task, **marks),
    ]
