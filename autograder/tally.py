"""What a run of ``autograder grade`` remembers of each submission: one line, whatever its notebook holds.

A class of 10,000 in one run must not fill the memory of the process that hands out the work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from autograder import console
from autograder.batch import Graded
from autograder.models import Outcome, SubmissionResult

__all__ = ["Line", "table"]


@dataclass(frozen=True, slots=True)
class Line:
    """One submission. ``score`` is None where the engine failed; ``why`` says with what."""

    student: str
    assignment: str
    score: float | None
    max_score: float
    outcome: Outcome
    needs_manual_grade: bool
    wall_s: float
    stored: bool
    why: str

    @classmethod
    def of(cls, graded: Graded) -> Line:
        """The line of a graded submission."""
        result = graded.result
        return cls(
            student=result.student,
            assignment=result.assignment,
            score=result.score,
            max_score=result.max_score,
            outcome=result.outcome,
            needs_manual_grade=result.needs_manual_grade,
            wall_s=sum(notebook.wall_s for notebook in result.notebooks),
            stored=not graded.problem,
            why=_why_no_score(result) if result.score is None else "",
        )


def _why_no_score(result: SubmissionResult) -> str:
    """What the engine says about a submission that it could not grade."""
    for notebook in result.notebooks:
        checks = [check for task in notebook.tasks for check in task.checks if check.score is None]
        traces = [check.explanation.traceback for check in checks if check.explanation]
        last = next((trace.strip().splitlines()[-1] for trace in traces if trace), "")
        if notebook.message or last:
            return (notebook.message or last)[:300]
    return "no reason is known; run it with --debug"


def table(lines: Sequence[Line], seconds: float) -> Table:
    """One line an assignment: how many, how well, how they ended, what is left for a person."""
    made = console.table(
        ("assignment", "left"),
        ("submissions", "right"),
        ("mean", "right"),
        ("of", "right"),
        ("outcomes", "left"),
        ("to grade by hand", "right"),
        ("seconds", "right"),
    )
    for assignment in sorted({line.assignment for line in lines}):
        mine = [line for line in lines if line.assignment == assignment]
        scores = [line.score for line in mine if line.score is not None]
        outcomes = Counter(line.outcome.value for line in mine)
        made.add_row(
            assignment,
            str(len(mine)),
            f"{sum(scores) / len(scores):.2f}" if scores else "–",
            console.points(max(line.max_score for line in mine)),
            ", ".join(f"{outcomes[o.value]} {o}" for o in Outcome if outcomes[o.value]),
            str(sum(line.needs_manual_grade for line in mine)),
            f"{sum(line.wall_s for line in mine):.1f}",
        )
    caption = f"{len(lines)} submissions in {seconds:.1f} s"
    made.caption = Text(caption + (f", {len(lines) / seconds:.1f} a second" if seconds > 0 else ""))
    made.caption_justify = "left"
    return made
