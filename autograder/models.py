"""The nouns of the engine: frozen dataclasses without behaviour beyond reading themselves.

``to_json`` of :class:`NotebookResult` is the public contract of ``autograder check --json``
(documented in ``docs/json.md`` and held by a test).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any

__all__ = [
    "CellResult",
    "CheckResult",
    "Explanation",
    "NotebookResult",
    "Outcome",
    "SubmissionResult",
    "TaskKind",
    "TaskResult",
    "TaskSpec",
    "worst",
]


class Outcome(StrEnum):
    """How a check, a cell or a submission ended. Closed: every run ends in exactly one of these.

    ``PASSED``        everything asked of it held.
    ``FAILED``        it ran, and the answer is wrong.
    ``ERROR``         the student's code raised, or the notebook cannot be read.
    ``TIMEOUT``       it did not end within its wall or CPU limit.
    ``MEMORY``        it needed more memory than its limit.
    ``OUTPUT_LIMIT``  it printed more than its limit; the rest was dropped.
    ``HOSTILE``       its process sent bytes that are no valid frame, or ended the sandbox on purpose.
    ``NOT_RUN``       the judge did not get to it.
    ``ENGINE_ERROR``  our fault: no score, run it again.
    """

    PASSED = "PASSED"
    FAILED = "FAILED"
    ERROR = "ERROR"
    TIMEOUT = "TIMEOUT"
    MEMORY = "MEMORY"
    OUTPUT_LIMIT = "OUTPUT_LIMIT"
    HOSTILE = "HOSTILE"
    NOT_RUN = "NOT_RUN"
    ENGINE_ERROR = "ENGINE_ERROR"


_SEVERITY = (
    Outcome.PASSED,
    Outcome.OUTPUT_LIMIT,
    Outcome.FAILED,
    Outcome.NOT_RUN,
    Outcome.ERROR,
    Outcome.TIMEOUT,
    Outcome.MEMORY,
    Outcome.HOSTILE,
    Outcome.ENGINE_ERROR,
)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The most severe of ``outcomes``; ``PASSED`` when there are none."""
    return max(outcomes, key=_SEVERITY.index, default=Outcome.PASSED)


class TaskKind(StrEnum):
    """Who gives the points of a task."""

    SUITE = "suite"
    """The checks of the assignment's suite, in the judge."""
    IN_KERNEL = "in-kernel"
    """A plain nbgrader test cell, run in the student's own namespace."""
    MANUAL = "manual"
    """A person, in formgrader."""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One graded cell of the instructor's notebook. ``max_score`` in points."""

    id: str
    max_score: float
    kind: TaskKind


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a failed check tells the student, in parts. Every part is plain text, empty when unknown.

    ``reproduce`` is Python source that draws the same inputs with torch alone; it never
    contains an expected value of a hidden check.
    """

    summary: str
    called: str = ""
    expected: str = ""
    got: str = ""
    hint: str = ""
    slide: str = ""
    reproduce: str = ""
    traceback: str = ""

    def text(self) -> str:
        """All parts as one message, a line each."""
        parts = [
            self.summary,
            *(
                f"{label}: {value}"
                for label, value in (
                    ("called", self.called),
                    ("expected", self.expected),
                    ("got", self.got),
                    ("hint", self.hint),
                    ("slide", self.slide),
                )
                if value
            ),
        ]
        return "\n".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The record of one check on one submission. ``points`` is its weight, ``score`` what it earned.

    ``score`` is None exactly when the outcome is ``ENGINE_ERROR``. ``mistake`` is the id of the known
    mistake that was recognised, ``seed`` that of the check's draws; ``measured`` are the values, by name of
    the threshold, that its single runs gave.
    """

    id: str
    task: str
    outcome: Outcome
    points: float
    score: float | None
    explanation: Explanation | None = None
    mistake: str | None = None
    seed: int | None = None
    wall_s: float = 0.0
    measured: tuple[tuple[str, float], ...] = ()

    @property
    def message(self) -> str | None:
        """The explanation as one text."""
        return self.explanation.text() if self.explanation else None

    def to_json(self) -> dict[str, Any]:
        """Its part of the public contract."""
        measured: dict[str, list[float | None]] = {}
        for name, value in self.measured:
            measured.setdefault(name, []).append(value if isfinite(value) else None)
        return {
            "id": self.id,
            "outcome": self.outcome.value,
            "points": self.points,
            "score": self.score,
            "message": self.message,
            "mistake": self.mistake,
            "seed": self.seed,
            "measured": measured,
        }


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Score of one task. ``score`` is None when a person gives it, or after ``ENGINE_ERROR``."""

    id: str
    kind: TaskKind
    score: float | None
    max_score: float
    checks: tuple[CheckResult, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The most severe outcome of its checks."""
        return worst(check.outcome for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Its part of the public contract."""
        return {
            "id": self.id,
            "score": self.score,
            "max_score": self.max_score,
            "checks": [check.to_json() for check in self.checks],
        }


@dataclass(frozen=True, slots=True)
class CellResult:
    """One executed code cell. ``index`` counts all cells of the graded notebook from 0.

    ``id`` is the cell's ``grade_id`` or None; ``outputs`` are nbformat output dicts (a claim of the
    sandbox, shown to people and never worth a point).
    """

    index: int
    id: str | None
    outcome: Outcome
    wall_s: float = 0.0
    message: str | None = None
    outputs: tuple[Mapping[str, Any], ...] = ()
    execution_count: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Its part of the public contract."""
        return {
            "index": self.index,
            "id": self.id,
            "outcome": self.outcome.value,
            "wall_s": round(self.wall_s, 4),
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class NotebookResult:
    """One graded notebook.

    ``score`` is the sum over its auto-graded tasks, None after ``ENGINE_ERROR``; ``max_score`` counts all
    tasks, those graded by hand included. ``notebook`` is the graded notebook (nbformat 4 dict: locked
    cells restored, outputs of this run) or None when the file cannot be read. ``message`` speaks for the
    whole submission ("the file ends in the middle…"), ``notices`` are smaller things worth knowing.
    """

    assignment: str
    name: str
    score: float | None
    max_score: float
    needs_manual_grade: bool
    outcome: Outcome
    tasks: tuple[TaskResult, ...]
    cells: tuple[CellResult, ...] = ()
    message: str | None = None
    notices: tuple[str, ...] = ()
    notebook: Mapping[str, Any] | None = None
    notebook_sha256: str | None = None
    seed: int | None = None
    sandboxed: bool = True
    missing_layers: tuple[str, ...] = ()
    wall_s: float = 0.0
    stage_s: Mapping[str, float] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    """The data sets that it was graded with: name → "sample" or "full"."""

    def to_json(self) -> dict[str, Any]:
        """The public contract of ``autograder check --json``."""
        return {
            "assignment": self.assignment,
            "score": self.score,
            "max_score": self.max_score,
            "needs_manual_grade": self.needs_manual_grade,
            "outcome": self.outcome.value,
            "tasks": [task.to_json() for task in self.tasks],
            "cells": [cell.to_json() for cell in self.cells],
            "notebook": self.name,
            "message": self.message,
            "notices": list(self.notices),
            "notebook_sha256": self.notebook_sha256,
            "seed": self.seed,
            "sandboxed": self.sandboxed,
            "missing_layers": list(self.missing_layers),
            "data": dict(self.data),
            "wall_s": round(self.wall_s, 4),
        }


@dataclass(frozen=True, slots=True)
class SubmissionResult:
    """All notebooks of one student's submission to one assignment."""

    assignment: str
    student: str
    notebooks: tuple[NotebookResult, ...]

    @property
    def score(self) -> float | None:
        """Sum over the notebooks; None when one of them has none."""
        scores = [notebook.score for notebook in self.notebooks]
        return None if None in scores else sum(s for s in scores if s is not None)

    @property
    def max_score(self) -> float:
        """Sum over the notebooks."""
        return sum(notebook.max_score for notebook in self.notebooks)

    @property
    def outcome(self) -> Outcome:
        """The most severe outcome of its notebooks."""
        return worst(notebook.outcome for notebook in self.notebooks)

    @property
    def needs_manual_grade(self) -> bool:
        """Whether a person has a part to grade."""
        return any(notebook.needs_manual_grade for notebook in self.notebooks)
