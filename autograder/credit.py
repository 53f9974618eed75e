"""Partial credit of plain nbgrader test cells: the number in which a cell ends."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

from autograder.models import NotebookResult, TaskSpec
from autograder.plain import plain

__all__ = ["partial_credit", "unusable_credits"]

_NO_POINTS: Final = "The last line of the test cell gave"
_NUMPY: Final = re.compile(r"np\.(?:float|int|uint)\d+\(([^()]*)\)")
"""How numpy shows a number since version 2; nbgrader takes it for a text."""


def partial_credit(spec: TaskSpec, shown: str) -> tuple[float, str | None]:
    """The points that the last value of a test cell, ``shown`` as text, stands for; and what is wrong.

    Of what is no number of points (NaN, negative, text, too much) nbgrader makes full points or an error;
    here it gives none and says so, since only the instructor can mend it.
    """
    number = _NUMPY.fullmatch(shown)
    try:
        claimed = float(number[1] if number else shown)
    except ValueError:
        claimed = math.nan
    if 0.0 <= claimed <= spec.max_score:
        return claimed, None
    return 0.0, (
        f"{_NO_POINTS} {plain(shown[:80])!r}, which is no number of points from 0 to {spec.max_score:g}, "
        f"so it gives none. For instructors: let test cell {spec.id!r} end in such a number, or in no value "
        "at all."
    )


def unusable_credits(result: NotebookResult) -> Iterator[tuple[str, str]]:
    """Ids of plain test cells of ``result`` whose partial credit is none, with the message."""
    for task in result.tasks:
        for check in task.checks:
            if (check.message or "").startswith(_NO_POINTS):
                yield task.id, check.message or ""
