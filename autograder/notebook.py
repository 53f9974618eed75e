"""What a notebook means: the instructor's tasks, and a submission made ready to run.

The one module to import for notebooks: reading is in :mod:`autograder.ipynb`, the instructor's side in
:mod:`autograder.assignment`, the laying over in :mod:`autograder.restore`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from autograder.assignment import AssignmentCell, AssignmentNotebook, load_assignment, notebook_metadata
from autograder.ipynb import parse, read, read_bytes, sha256
from autograder.models import TaskKind, TaskSpec
from autograder.restore import restore

__all__ = [
    "AssignmentCell",
    "AssignmentNotebook",
    "PreparedCell",
    "PreparedNotebook",
    "focused",
    "load_assignment",
    "parse",
    "prepare",
    "read",
    "read_bytes",
    "sha256",
]


@dataclass(frozen=True, slots=True)
class PreparedCell:
    """One cell to run. ``task_id`` is set on the graded cell of that task, whoever gives its points.

    ``source`` may hold hidden tests and must stay on the judge's side of a feedback page;
    ``display_source`` is the same text without them.
    """

    index: int
    cell_type: str
    source: str
    display_source: str
    grade_id: str | None = None
    task_id: str | None = None
    is_solution: bool = False


@dataclass(frozen=True, slots=True)
class PreparedNotebook:
    """A submission made ready. ``nb`` is its valid nbformat 4.5 dict, cell by cell the same as ``cells``.

    The sources in ``nb`` are the ``display_source``: no hidden test is in it.
    """

    cells: tuple[PreparedCell, ...]
    tasks: tuple[TaskSpec, ...]
    notices: tuple[str, ...]
    nb: dict[str, Any]


def prepare(submitted: Mapping[str, Any], assignment: AssignmentNotebook) -> PreparedNotebook:
    """``submitted`` (from :func:`parse`) with the instructor's copy laid over it.

    - Test and read-only cells get the instructor's text, type, points and metadata back.
    - Solution cells keep the student's text, and get their type and metadata back.
    - Missing cells come back behind their predecessor: a test cell behind the student's own cells that
      follow there, since they may hold the moved solution; a solution cell empty.
    - A test cell that stands before its solution cell moves behind it.
    - Of several cells with one ``grade_id`` the last one counts; an answer graded by hand that was left
      untouched does not outrank an earlier copy that was not.
    - Lost metadata are found again by the cell's id or by the text of a test or read-only cell.
    - Everything else is the student's own: it stays where it is, without nbgrader metadata.
    """
    slots, notices = restore(submitted["cells"], assignment)
    tasks = {task.id for task in assignment.tasks}
    cells: list[PreparedCell] = []
    shown: list[dict[str, Any]] = []
    for index, slot in enumerate(slots):
        owner = slot.owner
        source = slot.source if owner is None or owner.editable else owner.source
        display = slot.source if owner is None or owner.editable else owner.display_source
        cells.append(
            PreparedCell(
                index=index,
                cell_type=slot.cell_type,
                source=source,
                display_source=display,
                grade_id=owner.id if owner else None,
                task_id=owner.id if owner and owner.id in tasks else None,
                is_solution=owner is not None and owner.solution,
            )
        )
        cell: dict[str, Any] = {
            "id": slot.cell_id,
            "cell_type": slot.cell_type,
            "metadata": owner.metadata() if owner else {},
            "source": display,
        }
        if slot.cell_type == "code":
            cell |= {"execution_count": None, "outputs": []}
        elif slot.attachments:
            cell["attachments"] = slot.attachments
        shown.append(cell)
    nb = {"nbformat": 4, "nbformat_minor": 5, "metadata": notebook_metadata(), "cells": shown}
    return PreparedNotebook(tuple(cells), assignment.tasks, notices, nb)


def focused(prepared: PreparedNotebook, only: frozenset[str]) -> PreparedNotebook:
    """``prepared`` with only these of its tasks: other test cells, and what follows the last of them, do not
    run. Their cells stay in place, as text. The test cell of a suite task runs empty: it is only shown."""
    tasks = tuple(task for task in prepared.tasks if task.id in only)
    suite = {task.id for task in tasks if task.kind is TaskKind.SUITE}
    last = max((cell.index for cell in prepared.cells if cell.task_id in only), default=-1)
    cells = tuple(
        replace(cell, cell_type="raw")
        if cell.index > last or not (cell.task_id is None or cell.is_solution or cell.task_id in only)
        else replace(cell, source="", display_source="")
        if cell.task_id in suite
        else cell
        for cell in prepared.cells
    )
    return replace(prepared, cells=cells, tasks=tasks)
