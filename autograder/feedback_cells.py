"""Which cells of a graded notebook stand on its feedback page, beside which task, and the tasks' titles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autograder.display import Budget, Shown, clean_text, outputs, shorten
from autograder.models import CellResult, NotebookResult, Outcome, TaskKind

__all__ = ["ShownCell", "group", "titles_of"]

_MAX_CODE = 20_000


@dataclass(frozen=True, slots=True)
class ShownCell:
    """A cell as it stands on the page; ``prose`` is an answer in words."""

    source: str
    outputs: tuple[Shown, ...]
    note: str
    prose: bool = False
    stopped: str = ""
    """Why the cell was ended from outside; empty when it was not."""


def _cells(result: NotebookResult) -> Iterator[tuple[int, Mapping[str, Any], Mapping[str, Any]]]:
    """Index, cell and nbgrader metadata of every cell of the graded notebook."""
    notebook = result.notebook or {}
    for index, cell in enumerate(notebook.get("cells", ())):
        metadata = cell.get("metadata")
        marks = metadata.get("nbgrader") if isinstance(metadata, Mapping) else None
        yield index, cell, marks if isinstance(marks, Mapping) else {}


def group(result: NotebookResult, budget: Budget) -> tuple[dict[str, list[ShownCell]], list[ShownCell]]:
    """The cells to show with each task, and those to show at the end.

    With a task go its solution cells and what follows them up to its test cell; at the end go answers to no
    task and the other code cells that printed something or failed.
    """
    done = {cell.index: cell for cell in result.cells}
    kinds = {task.id: task.kind for task in result.tasks}
    groups: dict[str, list[ShownCell]] = {}
    rest: list[ShownCell] = []
    pending: list[ShownCell] = []
    inside = False
    for index, cell, marks in _cells(result):
        id = marks.get("grade_id")
        grade, solution = bool(marks.get("grade")), bool(marks.get("solution"))
        is_code = cell.get("cell_type") == "code"
        kind = kinds.get(id) if grade and isinstance(id, str) else None
        inside = inside or solution
        if kind is TaskKind.MANUAL:
            groups[str(id)] = [_shown(cell, done.get(index), budget, prose=not is_code)]
        elif kind is not None:
            test = _shown(cell, done.get(index), budget, source=False, quiet=kind is TaskKind.IN_KERNEL)
            groups[str(id)] = pending + ([test] if test.outputs or test.note else [])
            pending, inside = [], False
        elif not is_code and inside and _HEADING.search(clean_text(cell.get("source"))[:_MAX_CODE]):
            rest += pending  # the next task begins, and what came before it has no test cell
            pending, inside = [], False
        elif is_code and inside:
            pending.append(_shown(cell, done.get(index), budget))
        elif is_code:
            shown = _shown(cell, done.get(index), budget)
            rest += [shown] if shown.outputs or shown.note else []
    return groups, rest + pending


def _shown(
    cell: Mapping[str, Any],
    done: CellResult | None,
    budget: Budget,
    *,
    source: bool = True,
    quiet: bool = False,
    prose: bool = False,
) -> ShownCell:
    text = (
        shorten(clean_text(cell.get("source")).strip("\n"), min(_MAX_CODE, max(200, budget.text)))
        if source
        else ""
    )
    budget.text -= len(text)
    shown = outputs(done.outputs, budget) if done is not None and not quiet else []
    note = stopped = ""
    if done is not None and done.outcome not in (Outcome.PASSED, Outcome.ERROR):
        note = f"This cell {_CELL_WORDS[done.outcome]}."
        if done.outcome in (Outcome.TIMEOUT, Outcome.MEMORY, Outcome.HOSTILE):
            reason = shorten(clean_text(done.message), 500)
            stopped = (
                f"A cell of this task {_CELL_WORDS[done.outcome]}. {reason[:1].upper()}{reason[1:]}".strip()
            )
        if shown and shown[-1].kind == "stderr" and shown[-1].text.startswith("[grader]"):
            shown.pop()  # the same, said for people who read the notebook
    return ShownCell(text, tuple(shown), note, prose, stopped)


_CELL_WORDS: Mapping[Outcome, str] = {
    Outcome.FAILED: "did not hold",
    Outcome.TIMEOUT: "took too long and was stopped",
    Outcome.MEMORY: "needed too much memory and was stopped",
    Outcome.OUTPUT_LIMIT: "printed more than allowed; the rest was dropped",
    Outcome.HOSTILE: "was stopped by the sandbox",
    Outcome.NOT_RUN: "was not run",
    Outcome.ENGINE_ERROR: "could not be run; it is not your fault",
}


_HEADING = re.compile(r"^(#{1,4})\s+(.+?)\s*#*\s*$", re.MULTILINE)


def titles_of(result: NotebookResult) -> dict[str, str]:
    """Task id → the heading above its first solution cell; "" → the notebook's own title."""
    titles: dict[str, str] = {}
    heading = above = ""
    for _, cell, marks in _cells(result):
        id = marks.get("grade_id")
        graded = bool(marks.get("grade")) and isinstance(id, str)
        if cell.get("cell_type") == "markdown" and not graded:
            for match in _HEADING.finditer(clean_text(cell.get("source"))[:20_000]):
                text = _cut(re.sub(r"[`*]", "", match[2]), 90)
                if len(match[1]) == 1:
                    titles.setdefault("", text)
                else:
                    heading = text
        if marks.get("solution"):
            above = heading or above
        if graded:
            titles[str(id)] = _without_label(above or heading)
            heading = above = ""
    return titles


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _without_label(heading: str) -> str:
    """A heading such as "Task affine ★★☆" without the word and the stars."""
    return re.sub(r"^Task\s*:?\s+|\s*[★☆]+\s*$", "", heading).strip()
