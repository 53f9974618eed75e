"""Generated files: are they current, do they leak, and how they are replaced.

A generated file is only written when it says something else than before, so that running the generator twice
changes nothing and version control shows what an edit of the source really did.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from autograder.regions import has_solution, hidden_lines

__all__ = [
    "gradebook_content",
    "has_students",
    "leaks",
    "notebook_text",
    "replace_file",
    "same_solution",
    "solution_notebook",
    "sync",
]

_MARKERS = re.compile(r"(BEGIN|END) SOLUTION")
_NOISE = re.compile(r"0x[0-9a-fA-F]{6,}|[-+]?\d+(\.\d*)?(e[-+]?\d+)?|(/[\w.+-]+)+")
"""Addresses, numbers and paths in outputs: they differ from machine to machine."""
_TELLING = 12
"""Characters from which on a line of code is hardly written twice by chance."""

_CONTENT = {
    "course": "select id from course",
    "assignment": "select name, duedate, course_id from assignment",
    "notebook": "select a.name, n.name, n.kernelspec from notebook n"
    " join assignment a on a.id = n.assignment_id",
    **{
        table: f"select a.name, n.name, c.type, c.name, {columns} from {table} t"
        " join base_cell c on c.id = t.id join notebook n on n.id = c.notebook_id"
        " join assignment a on a.id = n.assignment_id"
        for table, columns in {
            "grade_cells": "t.max_score, t.cell_type",
            "task_cells": "t.max_score, t.cell_type",
            "solution_cells": "''",
        }.items()
    },
    "source_cell": "select a.name, n.name, s.name, s.cell_type, s.locked, s.source, s.checksum"
    " from source_cell s join notebook n on n.id = s.notebook_id join assignment a on a.id = n.assignment_id",
    "student": "select id, first_name, last_name, email, lms_user_id from student",
    "alembic_version": "select version_num from alembic_version",
}


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def gradebook_content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What a gradebook says about the course, without nbgrader's random ids; no submissions.

    Raises ``sqlite3.Error`` when it is no gradebook.
    """
    with closing(_connect(path)) as database:
        return {table: sorted(database.execute(query), key=repr) for table, query in _CONTENT.items()}


def has_students(path: Path) -> bool:
    """Whether the gradebook is in use: a student or a submission is in it."""
    with closing(_connect(path)) as database:
        tables = ("student", "submitted_assignment")
        return any(database.execute(f"select 1 from {table} limit 1").fetchone() for table in tables)


def notebook_text(nb: Mapping[str, Any]) -> str:
    """A notebook file as nbformat writes it: sorted keys, text as lists of lines, a final newline."""

    def lines(text: str) -> list[str]:
        return text.splitlines(keepends=True)

    cells = []
    for cell in nb["cells"]:
        cell = {**cell, "source": lines(cell["source"])}
        if "outputs" in cell:
            cell["outputs"] = [_split_output(output, lines) for output in cell["outputs"]]
        cells.append(cell)
    return json.dumps({**nb, "cells": cells}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _split_output(output: Mapping[str, Any], lines: Any) -> dict[str, Any]:
    split = dict(output)
    if isinstance(split.get("text"), str):
        split["text"] = lines(split["text"])
    if isinstance(split.get("data"), Mapping):
        split["data"] = {
            mime: lines(value) if isinstance(value, str) and mime.startswith("text/") else value
            for mime, value in split["data"].items()
        }
    return split


def solution_notebook(nb: Mapping[str, Any]) -> dict[str, Any]:
    """An executed notebook of the source without its BEGIN/END SOLUTION lines."""
    cells = []
    for cell in nb["cells"]:
        kept = [line for line in cell["source"].split("\n") if not _MARKERS.search(line)]
        cells.append({**cell, "source": "\n".join(kept)})
    return {**nb, "cells": cells}


def same_solution(old: str, new: str) -> bool:
    """Whether two executed notebook files say the same; numbers, paths and pictures do not count."""
    try:
        return _essence(json.loads(old)) == _essence(json.loads(new))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _essence(nb: Mapping[str, Any]) -> object:
    """Cells in full, of outputs the kinds and the words."""
    cells = []
    for cell in nb["cells"]:
        outputs = []
        for output in cell.get("outputs", []):
            texts = [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
            # a minus sign or another digit moves the columns of a printed array
            words = ["".join(_NOISE.sub("#", "".join(text)).split()) for text in texts]
            outputs.append((output["output_type"], output.get("name"), sorted(output.get("data", {})), words))
        cells.append(
            {key: value for key, value in cell.items() if key not in ("outputs", "execution_count")}
            | {"outputs": outputs}
        )
    return nb["metadata"], nb["nbformat"], nb["nbformat_minor"], cells


def replace_file(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` in one step; a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def sync(made: Path, target: Path, *, write: bool = True) -> list[Path]:
    """Make ``target`` hold the files of ``made`` and nothing else. Gives the files that had to change."""
    wanted = {path.relative_to(made) for path in made.rglob("*") if path.is_file()}
    present = {path.relative_to(target) for path in target.rglob("*") if not path.is_dir()}
    changed = sorted(present - wanted)
    for name in changed:
        if write:
            (target / name).unlink()
    for name in sorted(wanted):
        content = (made / name).read_bytes()
        if name not in present or (target / name).read_bytes() != content:
            changed.append(name)
            if write:
                replace_file(target / name, content)
    if write:
        for folder in sorted(target.rglob("*"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                shutil.rmtree(folder)
    return [target / name for name in changed]


def leaks(sources: Sequence[Mapping[str, Any]], released: Path) -> list[str]:
    """Lines of solutions and hidden tests of the notebooks ``sources`` that a file below ``released`` shows.

    A line that a source also shows outside of these regions is no secret.
    """
    secret: set[str] = set()
    public: set[str] = {""}
    for source in sources:
        for cell in source["cells"]:
            lines = [line.strip() for line in cell["source"].split("\n")]
            hidden = [line.strip() for line in hidden_lines(cell["source"])]
            if cell["metadata"].get("nbgrader", {}).get("solution") and not has_solution(cell["source"]):
                hidden = lines
            secret.update(hidden)
            public.update((Counter(lines) - Counter(hidden)).keys())
    secret -= public
    found = []
    for path in sorted(path for path in released.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".ipynb":
            text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
            telling = secret
        else:  # a helper may well have a line like "return x" of its own
            telling = {line for line in secret if len(line) >= _TELLING}
        shown = {line.strip() for line in text.splitlines()}
        found += [f"{path.name}: {line}" for line in sorted(telling & shown)]
    return found
