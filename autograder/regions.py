"""Marked regions of a cell's text: solutions, hidden tests, mark schemes. Pure functions on strings.

The delimiters are nbgrader's: a line that contains ``BEGIN SOLUTION`` opens a region, the next one that
contains ``END SOLUTION`` closes it; both lines belong to the region.
"""

from __future__ import annotations

from collections.abc import Callable

from autograder.errors import UsageError

__all__ = ["TEXT_STUB", "clear_solution", "has_solution", "hidden_lines", "solution_stub", "student_view"]

TEXT_STUB = "YOUR ANSWER HERE"
_SOLUTION = "SOLUTION"
_HIDDEN = ("HIDDEN TESTS", "MARK SCHEME")


def _replace(source: str, word: str, stub: Callable[[str], list[str]]) -> tuple[str, list[str]]:
    """``source`` with each region ``word`` replaced by ``stub(indent)``, and the removed inner lines."""
    kept: list[str] = []
    removed: list[str] = []
    inside = False
    for line in source.split("\n"):
        if f"BEGIN {word}" in line:
            if inside:
                raise UsageError(f"a second BEGIN {word} comes before END {word}")
            inside = True
            kept += stub(line[: len(line) - len(line.lstrip())])
        elif f"END {word}" in line:
            if not inside:
                raise UsageError(f"END {word} comes without BEGIN {word}")
            inside = False
        elif inside:
            removed.append(line)
        else:
            kept.append(line)
    if inside:
        raise UsageError(f"BEGIN {word} has no END {word}")
    return "\n".join(kept), removed


def has_solution(source: str) -> bool:
    """Whether ``source`` has a solution region."""
    return f"BEGIN {_SOLUTION}" in source


def solution_stub(grade_id: str, *, graded: bool, code: bool) -> str:
    """The line that replaces a solution in the students' version.

    ``graded`` is true for an answer graded by hand: a text to overwrite, not code that raises.
    """
    if not code:
        return TEXT_STUB
    if graded:
        return f"# {TEXT_STUB}"
    task = grade_id.removeprefix("solution-")
    return f'raise NotImplementedError("Task {task}")'


def clear_solution(source: str, grade_id: str, *, graded: bool, code: bool) -> str:
    """The students' version of a solution cell: its regions, or all of it when it has none, become the stub.

    Raises :class:`~autograder.errors.UsageError` for nested or unclosed regions.
    """
    stub = solution_stub(grade_id, graded=graded, code=code)
    return _replace(source, _SOLUTION, lambda indent: [indent + stub])[0] if has_solution(source) else stub


def student_view(source: str) -> str:
    """``source`` without its hidden tests and mark scheme, as students may see it."""
    for word in _HIDDEN:
        if f"BEGIN {word}" in source or f"END {word}" in source:
            source = _replace(source, word, lambda indent: [])[0]
    return source


def hidden_lines(source: str) -> list[str]:
    """The lines inside all regions of ``source``: what must not appear in a release."""
    found: list[str] = []
    for word in (_SOLUTION, *_HIDDEN):
        found += _replace(source, word, lambda indent: [])[1]
    return found
