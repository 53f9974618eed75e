"""The instructor's notebooks of an assignment, with the tests that nbgrader made from ``AUTOTEST`` lines.

Such a line names an expression; ``nbgrader generate_assignment`` runs the solution and puts an assertion in
its place. Only the gradebook has the result, so that is where these cells come from.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.errors import GradebookError
from autograder.layout import Course

if TYPE_CHECKING:
    from autograder.assignment import AssignmentNotebook

__all__ = ["autotests", "load_notebooks"]

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
