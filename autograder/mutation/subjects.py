"""What is mutated: the solution cells of the instructor's notebooks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autograder.errors import UsageError
from autograder.ipynb import read
from autograder.layout import Course
from autograder.limits import Limits
from autograder.mutation.mutants import Mutant, mutants, solution

__all__ = ["Subject", "all_mutants", "subjects"]


@dataclass(frozen=True)
class Subject:
    """A task that the engine grades, and its solution cell: cell ``index`` of the notebook ``name``."""

    task: str
    name: str
    index: int
    cells: Sequence[Mapping[str, Any]]

    @property
    def source(self) -> str:
        """The solution, without the lines that mark it."""
        return solution(self.cells[self.index]["source"])

    def notebook(self, source: str, *, keep: int) -> bytes:
        """A notebook with ``source`` as the solution. ``keep`` says what else is in it: 0 the instructor's
        read-only cells and what comes before the first solution, 1 all other cells but the solutions of
        other tasks, 2 everything."""
        marks = [_marks(cell) for cell in self.cells]
        first = next(index for index, mark in enumerate(marks) if mark.get("solution"))
        cells = []
        for index, (cell, mark) in enumerate(zip(self.cells, marks, strict=True)):
            empty = keep < 2 if mark.get("solution") else keep < 1 and not mark and index > first
            text = source if index == self.index else "" if empty else solution(cell["source"])
            cells.append({**cell, "source": text})
        return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


def subjects(course: Course, assignment: str, only: Sequence[str] = ()) -> dict[str, Subject]:
    """The tasks of ``assignment`` (``only`` these) that have a solution cell and are not graded by hand.

    :raises UsageError: there is no such assignment or no such task.
    """
    found: dict[str, Subject] = {}
    for path in course.source_notebooks(assignment):
        cells = read(path, Limits())["cells"]
        last: int | None = None
        named = {mark["grade_id"]: index for index, cell in enumerate(cells) if (mark := _marks(cell))}
        for index, cell in enumerate(cells):
            mark = _marks(cell)
            if cell["cell_type"] != "code":
                continue
            if mark.get("solution") and not mark.get("grade"):
                last = index
            elif mark.get("grade") and not mark.get("solution"):
                place = named.get(f"solution-{mark['grade_id']}", last)
                if place is not None:
                    found[mark["grade_id"]] = Subject(mark["grade_id"], path.stem, place, cells)
    unknown = [task for task in only if task not in found]
    if unknown:
        known = ", ".join(found) or "none"
        raise UsageError(f"{assignment} has no task {', '.join(unknown)} with a solution; it has: {known}")
    return {task: one for task, one in found.items() if not only or task in only}


def _marks(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    marks = cell["metadata"].get("nbgrader") or {}
    return marks if isinstance(marks, Mapping) and "grade_id" in marks else {}


def all_mutants(chosen: Iterable[Subject], limit: int | None = None) -> list[Mutant]:
    """The mutants of these tasks in order; with ``limit`` a sample of so many, always the same."""
    found = [mutant for one in chosen for mutant in mutants(one.task, one.source)]
    if limit is None or limit >= len(found):
        return found
    drawn = sorted(found, key=lambda mutant: hashlib.sha256(mutant.id.encode()).digest())[:limit]
    ids = {mutant.id for mutant in drawn}
    return [mutant for mutant in found if mutant.id in ids]
