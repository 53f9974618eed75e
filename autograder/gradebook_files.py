"""The files of ``autograded/``: what formgrader and ``nbgrader generate_feedback`` read.

Outputs are claims of a sandbox. Here they become valid nbformat outputs that carry no script: HTML, SVG and
JavaScript of a submission never reach the browser of the person who may change grades.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from autograder.ipynb import text_of
from autograder.models import NotebookResult, TaskKind, TaskResult
from autograder.submitted_files import other_files

__all__ = ["autograded_notebook", "clamp", "copied_files", "message_notebook", "with_released"]

_IMAGES = ("image/png", "image/jpeg", "image/gif")
_TEXTS = ("text/plain", "text/latex")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


def clamp(task: TaskResult) -> float | None:
    """The score as nbgrader may hold it: finite, 0 to the task's points; None when a person gives it."""
    if task.score is None:
        return None
    return min(max(task.score, 0.0), task.max_score) if isfinite(task.score) else 0.0


def autograded_notebook(result: NotebookResult) -> dict[str, Any]:
    """The graded notebook of ``result`` with its outputs; test cells say their score to nbgrader."""
    assert result.notebook is not None  # the caller made one for a file that cannot be read
    cells = [dict(cell) for cell in result.notebook["cells"]]
    for run in result.cells:
        if run.index < len(cells) and cells[run.index]["cell_type"] == "code":
            cells[run.index] |= {"outputs": list(run.outputs), "execution_count": run.execution_count}
    tasks = {task.id: task for task in result.tasks}
    for cell in cells:
        if cell["cell_type"] == "code":
            cell["outputs"] = [clean for output in cell.get("outputs", ()) if (clean := _clean(output))]
            task = tasks.get(cell["metadata"].get("nbgrader", {}).get("grade_id", ""))
            if task is not None and task.kind is not TaskKind.MANUAL:
                _say_score(cell, task)
    return {**result.notebook, "cells": cells}


def message_notebook(
    nb: Mapping[str, Any], message: str, tasks: Sequence[TaskResult], name: str = ""
) -> dict[str, Any]:
    """The released notebook ``nb`` with ``message`` on top: stands for a submission that cannot be read."""
    text = f"**{html.escape(name or 'This notebook')} could not be graded.**\n\n{_escape_markdown(message)}"
    top = {"id": "autograder-message", "cell_type": "markdown", "metadata": {}, "source": text}
    cells = [top, *(dict(cell) for cell in nb["cells"])]
    graded = {task.id: task for task in tasks if task.kind is not TaskKind.MANUAL}
    for cell in cells:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
            task = graded.get(cell["metadata"].get("nbgrader", {}).get("grade_id", ""))
            if task is not None:
                _say_score(cell, task)
    return {**nb, "cells": cells}


def with_released(
    nb: Mapping[str, Any],
    cells: Mapping[str, tuple[str | None, str | None]],
    kernelspec: Mapping[str, Any] | None,
    *,
    stubs: bool = False,
) -> dict[str, Any]:
    """``nb`` with what the gradebook says of the release: checksums and the kernel.

    ``cells`` maps a cell's name to its checksum and text; with ``stubs`` solution cells get that text, by
    which nbgrader knows them as untouched.
    """
    done = []
    for cell in nb["cells"]:
        meta = cell["metadata"].get("nbgrader", {})
        checksum, source = cells.get(meta.get("grade_id"), (None, None))
        if checksum:
            nbgrader = {**meta, "checksum": checksum}
            cell = {**cell, "metadata": {**cell["metadata"], "nbgrader": nbgrader}}
            if stubs and meta.get("solution") and source is not None:
                cell["source"] = source
        done.append(cell)
    metadata = {**nb["metadata"], "kernelspec": dict(kernelspec)} if kernelspec else nb["metadata"]
    return {**nb, "metadata": metadata, "cells": done}


def _escape_markdown(text: str) -> str:
    """``text`` as markdown that shows exactly it."""
    return re.sub(r"([\\`*_{}\[\]()#+!|$~-])", r"\\\1", html.escape(text, quote=False))


def _say_score(cell: dict[str, Any], task: TaskResult) -> None:
    """Write the outputs from which nbgrader reads a score: the checks' messages, then the number."""
    score = clamp(task)
    count = cell.get("execution_count")
    claims = [] if task.kind is TaskKind.SUITE else _in_kernel_claims(cell["outputs"], failed=score == 0)
    outputs: list[dict[str, Any]] = []
    if task.checks:
        lines = _lines(task)
        text = "\n".join(lines) + "\n"
        page = f"<pre>{html.escape(text)}</pre>"
        outputs = [
            {"output_type": "stream", "name": "stdout", "text": text},
            {"output_type": "display_data", "data": {"text/html": page, "text/plain": text}, "metadata": {}},
        ]
    number = {
        "output_type": "execute_result",
        "data": {"text/plain": repr(score if score is not None else 0.0)},
        "metadata": {},
        "execution_count": count,
    }
    # before an error of the cell itself: nbgrader reads the first of the two
    cell["outputs"] = [*outputs, number, *claims]


def _lines(task: TaskResult) -> list[str]:
    lines = []
    for check in task.checks:
        got = f"{check.score or 0.0:g}/{check.points:g}"
        lines.append(f"{check.outcome.value:>12}  {text_of(check.id)}  {got}")
        message = text_of(check.message or "")
        lines += [f"{'':14}{line}" for line in message.splitlines()]
    return lines


def _in_kernel_claims(outputs: Sequence[dict[str, Any]], *, failed: bool) -> list[dict[str, Any]]:
    """What a plain test cell printed; no traceback, which would show its hidden lines."""
    kept: list[dict[str, Any]] = []
    for output in outputs:
        if output["output_type"] == "error":
            if failed:
                kept.append({**output, "traceback": [f"{output['ename']}: {output['evalue']}"]})
        elif output["output_type"] == "stream":
            kept.append({**output, "name": "stdout"})  # nbgrader takes all points for a line on stderr
        elif output["output_type"] == "display_data":
            kept.append(output)
    return kept


def _clean(output: object) -> dict[str, Any] | None:
    """``output`` as a valid nbformat output without active content; None when nothing is left."""
    if not isinstance(output, Mapping):
        return None
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return {"output_type": "stream", "name": name, "text": text_of(output.get("text"))}
    if kind == "error":
        traceback = output.get("traceback")
        lines = traceback if isinstance(traceback, (list, tuple)) else ()
        return {
            "output_type": "error",
            "ename": text_of(output.get("ename")),
            "evalue": text_of(output.get("evalue")),
            "traceback": [text_of(line) for line in lines],
        }
    if kind not in ("display_data", "execute_result"):
        return None
    data = _clean_data(output.get("data"))
    if not data:
        return None
    clean: dict[str, Any] = {"output_type": kind, "data": data, "metadata": {}}
    if kind == "execute_result":
        count = output.get("execution_count")
        clean["execution_count"] = count if type(count) is int and count >= 0 else None
    return clean


def _clean_data(data: object) -> dict[str, str]:
    if not isinstance(data, Mapping):
        return {}
    clean = {mime: text_of(data[mime]) for mime in _TEXTS if mime in data}
    for mime in _IMAGES:
        encoded = text_of(data.get(mime))
        if encoded and _BASE64.fullmatch(encoded):
            clean[mime] = encoded
    return clean


def copied_files(submitted: Path, source: Path) -> Iterator[tuple[Path, bytes]]:
    """The files to lie beside the autograded notebooks, as with nbgrader: relative path and bytes.

    The instructor's files win over the student's.
    """
    yield from other_files(source)
    for path, data in other_files(submitted):
        if not (source / path).exists():
            yield path, data
