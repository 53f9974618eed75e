"""Points and comments that a person gave, and a late penalty, on a feedback page that is there already.

A page is rendered when the notebook is graded; a person reads it later. The places that may change by that
stand between comments in the page's HTML, and only they are rendered again: no notebook has to be run.
Text of a submission is escaped and cannot hold such a comment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from autograder.display import clean_text, shorten

__all__ = ["Given", "TaskGiven", "is_ours", "owners", "points_text", "score_view", "update"]

_MAX_COMMENT = 4_000


@dataclass(frozen=True, slots=True)
class TaskGiven:
    """One task in the gradebook: ``score`` counts, None where nobody has given one yet.

    ``by_person``: a person gave it, extra credit included. ``waits``: a person has to.
    """

    score: float | None
    max_score: float
    by_person: bool = False
    waits: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """The tasks of one notebook in their order on the page, and its late penalty in points."""

    tasks: Sequence[TaskGiven]
    penalty: float = 0.0


def is_ours(page: str) -> bool:
    """Whether ``page`` has places to render again: nbgrader's own has not."""
    return "<!--ring-->" in page


def owners(cells: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Name of each graded or solution cell of a notebook to the task that it belongs to."""
    found: dict[str, str] = {}
    waiting: list[str] = []
    for cell in cells:
        marks = cell["metadata"].get("nbgrader", {})
        if marks.get("grade") or marks.get("task"):
            found |= {name: marks["grade_id"] for name in (*waiting, marks["grade_id"])}
            waiting = []
        elif marks.get("solution"):
            waiting.append(marks["grade_id"])
    return found


def points_text(points: float) -> str:
    """Points for people."""
    return f"{round(points, 2):g}"


def score_view(earned: float | None, whole: float, waiting: float, penalty: float = 0.0) -> dict[str, Any]:
    """The head of a page: ``earned`` of ``whole`` points, ``waiting`` still to be given by a person.

    Shares are parts of the ring, 0 to 1.
    """
    return {
        "known": earned is not None,
        "text": "–" if earned is None else points_text(earned),
        "max": points_text(whole),
        "by_person": points_text(waiting) if waiting else "",
        "penalty": points_text(penalty) if penalty else "",
        "share": 0.0 if earned is None or whole <= 0 else min(1.0, max(0.0, earned / whole)),
        "person_share": 0.0 if whole <= 0 else waiting / whole,
    }


def update(page: str, given: Given, environment: jinja2.Environment) -> str:
    """``page`` with what a person gave and the clock took."""
    parts: Any = environment.get_template("given.html.j2").module
    earned = sum(task.score or 0.0 for task in given.tasks)
    waiting = sum(task.max_score for task in given.tasks if task.waits)
    whole = sum(task.max_score for task in given.tasks)
    score = score_view(max(0.0, earned - given.penalty), whole, waiting, given.penalty)
    texts = {"ring": str(parts.ring(score)), "total": str(parts.total(score))}
    for count, task in enumerate(given.tasks, 1):
        points = points_text(task.score or 0.0) if task.by_person else ""
        comment = shorten(clean_text(task.comment), _MAX_COMMENT)
        texts[f"task-{count}"] = str(parts.task(points, points_text(task.max_score), comment, task.waits))
    return _replaced(page, texts)


def _replaced(page: str, texts: Mapping[str, str]) -> str:
    def text(match: re.Match[str]) -> str:
        return f"<!--{match[1]}-->{texts.get(match[1], match[2])}<!--/{match[1]}-->"

    return re.sub(r"<!--([a-z0-9-]+)-->(.*?)<!--/\1-->", text, page, flags=re.DOTALL)
