"""The instructor's notebooks of an assignment, with the tests that nbgrader made from ``AUTOTEST`` lines.

Such a line names an expression; ``nbgrader generate_assignment`` runs the solution and puts an assertion in
its place. Only the gradebook has the result, so that is where these cells come from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograder.errors import AutograderError, GradebookError
from autograder.layout import Course
from autograder.regions import has_solution, student_view

if TYPE_CHECKING:
    from autograder.assignment import AssignmentNotebook

__all__ = ["autotests", "given_cells", "load_notebooks"]

_QUERY = """
select n.name, s.name, s.source from source_cell s join notebook n on n.id = s.notebook_id
join assignment a on a.id = n.assignment_id where a.name = ? and s.cell_type = 'code' order by 1, 2"""


def load_notebooks(
    course: Course, assignment: str, suite_tasks: frozenset[str] = frozenset()
) -> tuple[AssignmentNotebook, ...]:
    """The notebooks of ``assignment``, sorted; see :func:`autograder.assignment.load_assignment`."""
    from autograder.assignment import load_assignment  # here, as content keys are made without it

    paths = course.source_notebooks(assignment)
    tests = autotests(course, assignment)
    return tuple(load_assignment(path, suite_tasks, tests.get(path.stem)) for path in paths)


def given_cells(files: Iterable[bytes]) -> tuple[str, ...]:
    """The code cells in these source notebooks that students get as they are, and most leave so: their texts.
    None of a file that is no notebook; who needs it says so."""
    found: dict[str, None] = {}
    for content in files:
        try:
            cells = json.loads(content)["cells"]
            found |= dict.fromkeys(source for cell in cells if (source := _given(cell)))
        except (AutograderError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
    return tuple(found)


def _given(cell: dict[str, Any]) -> str:
    """The text of a code cell that is the same for students; otherwise empty."""
    source = "".join(cell["source"])
    source.encode()  # half a character cannot be sent
    told = cell["metadata"].get("nbgrader", {})
    answer = told.get("solution") or has_solution(source)  # a locked one, too: nbgrader clears it
    own = cell["cell_type"] != "code" or answer or "AUTOTEST" in source or student_view(source) != source
    return "" if own else source


def autotests(course: Course, assignment: str) -> dict[str, dict[str, str]]:
    """Texts of the code cells in the gradebook, by notebook and ``grade_id``; empty when no source has
    AUTOTEST lines or there is no gradebook."""
    path: Path = course.gradebook_path
    if not path.is_file() or not any(
        b"AUTOTEST" in source.read_bytes() for source in course.source_notebooks(assignment)
    ):
        return {}
    import sqlite3  # here, as hardly any course needs it

    found: dict[str, dict[str, str]] = {}
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as database:
            for notebook, cell, source in database.execute(_QUERY, (assignment,)):
                found.setdefault(notebook, {})[cell] = source or ""
    except sqlite3.Error as error:
        raise GradebookError(f"{path}: {error}; back it up, then run: nbgrader db upgrade") from error
    return found
