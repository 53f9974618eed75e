"""The page a student reads: one self-contained HTML file for one graded notebook.

:func:`render` is pure. It needs no script, no network and no other file, follows the reader's dark mode and
prints. Everything that came from a submission is text by the time it reaches the template (see
:mod:`autograder.display`), and the template escapes all text; a content security policy forbids the rest.
Hidden checks are named, explained and never shown: their code is not in a result at all, and of a plain
nbgrader test cell, whose hidden lines could stand in a traceback, neither outputs nor traceback are shown.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from autograder.datasets import describe
from autograder.display import Budget, clean_text, shorten
from autograder.feedback_cells import ShownCell, group, titles_of
from autograder.given import Given, points_text, score_view, update
from autograder.layout import Course
from autograder.models import CheckResult, NotebookResult, Outcome, TaskKind, TaskResult

__all__ = ["render", "with_given", "write"]

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_MAX_PART = 4_000

# What an outcome is called on the page: a few words, and the name of an icon.
_WORDS: Mapping[Outcome, tuple[str, str]] = {
    Outcome.PASSED: ("passed", "check"),
    Outcome.FAILED: ("not right yet", "cross"),
    Outcome.ERROR: ("stopped with an error", "cross"),
    Outcome.TIMEOUT: ("took too long", "clock"),
    Outcome.MEMORY: ("needed too much memory", "cross"),
    Outcome.OUTPUT_LIMIT: ("printed too much", "cross"),
    Outcome.HOSTILE: ("was stopped by the sandbox", "cross"),
    Outcome.NOT_RUN: ("not reached", "dash"),
    Outcome.ENGINE_ERROR: ("could not be graded", "wrench"),
}


@dataclass(frozen=True, slots=True)
class _Check:
    name: str
    outcome: str
    icon: str
    points: str
    summary: str
    facts: tuple[tuple[str, str, bool], ...]
    """Label, text, whether it is code."""
    mistake: str
    reproduce: str
    traceback: str


@dataclass(slots=True)
class _Task:
    id: str
    anchor: str
    title: str
    kind: TaskKind
    state: str
    """"full", "part", "none", "person", "engine" or "missed"."""
    words: str
    icon: str
    score: str
    max_score: str
    percent: float
    graded: bool
    failed: list[_Check]
    not_run: list[_Check]
    passed: list[_Check]
    cells: list[ShownCell] = field(default_factory=list)

    @property
    def stopped(self) -> str:
        """Why one of its cells was ended from outside, if one was."""
        return next((cell.stopped for cell in self.cells if cell.stopped), "")


def render(result: NotebookResult, *, student: str, timestamp: datetime | None = None) -> str:
    """The page of ``result`` as HTML. ``timestamp`` is when it was graded; left out when None."""
    budget = Budget()
    groups, rest = group(result, budget)
    titles = titles_of(result)
    tasks = [_task(number, task, titles) for number, task in enumerate(result.tasks, 1)]
    for task in tasks:
        task.cells = groups.get(task.id, [])
    unreadable = (
        result.notebook is None and result.message is not None and result.outcome is not Outcome.ENGINE_ERROR
    )
    page = _environment().get_template("feedback.html.j2").render(
        title=titles.get("") or clean_text(result.assignment),
        assignment=clean_text(result.assignment),
        notebook=clean_text(result.name),
        student=clean_text(student),
        when=_when(timestamp),
        score=_score(result),
        tasks=[] if unreadable else tasks,
        first=None if unreadable else _first(tasks),
        rest=rest,
        message=shorten(clean_text(result.message), _MAX_PART),
        notices=[shorten(clean_text(notice), 500) for notice in result.notices[:50]],
        unreadable=unreadable,
        engine_error=result.outcome is Outcome.ENGINE_ERROR,
        any_suite=any(task.kind is TaskKind.SUITE for task in tasks),
        any_in_kernel=any(task.kind is TaskKind.IN_KERNEL for task in tasks),
        sandboxed=result.sandboxed,
        missing_layers=[clean_text(layer) for layer in result.missing_layers] if result.sandboxed else [],
        data=[describe(name, kind) for name, kind in sorted(result.data.items())],
        seed=result.seed,
        digest=(result.notebook_sha256 or "")[:12],
    )  # fmt: skip
    return str(page)


def with_given(page: str, given: Given) -> str:
    """A page of :func:`render` with the points, comments and penalty that came since."""
    return update(page, given, _environment())


def write(course: Course, result: NotebookResult, *, student: str, timestamp: datetime | None = None) -> Path:
    """Render into ``feedback/<student>/<assignment>/<name>.html``, whole or not at all; gives its path."""
    folder = course.feedback_dir(student, result.assignment)
    return write_page(folder / f"{result.name}.html", render(result, student=student, timestamp=timestamp))


def write_page(path: Path, page: str) -> Path:
    """Write ``page`` to ``path`` through a temporary file beside it, so that no reader sees half a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(page)
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:  # Ctrl-C too: no draft stays behind, and the error goes on
        Path(draft).unlink(missing_ok=True)
        raise
    return path


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _number(points: float | None) -> str:
    return "–" if points is None else points_text(points)


def _when(timestamp: datetime | None) -> str:
    if timestamp is None:
        return ""
    utc = timestamp.astimezone(UTC) if timestamp.tzinfo else timestamp
    return f"{utc:%d %B %Y, %H:%M}" + (" UTC" if timestamp.tzinfo else "")


def _score(result: NotebookResult) -> dict[str, Any]:
    """The head of the page."""
    by_person = sum(task.max_score for task in result.tasks if task.kind is TaskKind.MANUAL)
    graded = [task for task in result.tasks if task.kind is not TaskKind.MANUAL and task.max_score > 0]
    return score_view(result.score, result.max_score, by_person) | {
        "full": sum(task.score == task.max_score for task in graded),
        "graded": len(graded),
    }


def _task(number: int, task: TaskResult, titles: Mapping[str, str]) -> _Task:
    checks = [_check(check, task.kind) for check in task.checks]
    pairs = list(zip(task.checks, checks, strict=True))
    state, words, icon = _state(task)
    share = (task.score or 0.0) / task.max_score if task.max_score else 0.0
    return _Task(
        id=clean_text(task.id),
        anchor=f"task-{number}",
        title=titles.get(task.id) or clean_text(task.id),
        kind=task.kind,
        state=state,
        words=words,
        icon=icon,
        score=_number(task.score),
        max_score=_number(task.max_score),
        percent=round(100 * min(1.0, max(0.0, share)), 2),
        graded=task.max_score > 0,
        failed=[c for check, c in pairs if check.outcome not in (Outcome.PASSED, Outcome.NOT_RUN)],
        not_run=[c for check, c in pairs if check.outcome is Outcome.NOT_RUN],
        passed=[c for check, c in pairs if check.outcome is Outcome.PASSED],
    )


def _state(task: TaskResult) -> tuple[str, str, str]:
    if task.kind is TaskKind.MANUAL:
        return "person", "graded by a person", "person"
    if task.score is None:
        return "engine", "will be graded again", "wrench"
    outcomes = {check.outcome for check in task.checks}
    if outcomes == {Outcome.NOT_RUN}:
        return "missed", "not reached", "dash"
    if not outcomes - {Outcome.PASSED} and task.score >= task.max_score:
        return "full", "complete", "check"
    if task.score > 0:
        return "part", "partly right", "half"
    words = next(
        (
            _WORDS[check.outcome][0]
            for check in task.checks
            if check.outcome not in (Outcome.PASSED, Outcome.NOT_RUN)
        ),
        "not right yet",
    )
    return "none", words, "clock" if Outcome.TIMEOUT in outcomes else "cross"


def _check(check: CheckResult, kind: TaskKind) -> _Check:
    outcome, icon = _WORDS[check.outcome]
    part = check.explanation
    ours = check.outcome is Outcome.ENGINE_ERROR
    facts: list[tuple[str, str, bool]] = []
    if part is not None and not ours:
        facts = [
            ("We called", part.called, True),
            ("Expected", part.expected, False),
            ("Your result", part.got, False),
            ("Hint", part.hint, False),
            ("Slide", part.slide, False),
        ]
        facts = [(label, shorten(clean_text(text), _MAX_PART), code) for label, text, code in facts if text]
        if check.seed is not None and kind is TaskKind.SUITE and check.outcome is not Outcome.NOT_RUN:
            facts.append(("Seed", str(check.seed), True))
    # What our own code raised is the instructor's to read, and could quote a hidden check.
    summary = (
        part.summary
        if part is not None and not ours
        else "This check could not be run. It is not your fault."
    )
    return _Check(
        name=_check_name(check.id, check.task),
        outcome=outcome,
        icon=icon,
        points=_number(check.points),
        summary=shorten(clean_text(summary), _MAX_PART),
        facts=tuple(facts),
        mistake=clean_text(check.mistake).replace("_", " ") if check.mistake and not ours else "",
        reproduce=shorten(clean_text(part.reproduce).strip("\n"), _MAX_PART)
        if part is not None and not ours
        else "",
        # In a plain nbgrader test cell the frames of a traceback are lines of a test, hidden ones included.
        traceback=(
            shorten(clean_text(part.traceback).strip("\n"), _MAX_PART, tail=0.7)
            if part is not None and not ours and kind is TaskKind.SUITE
            else ""
        ),
    )


def _check_name(id: str, task: str) -> str:
    """``test_affine_any_shape`` of task ``affine`` reads "any shape"."""
    name = clean_text(id).removeprefix("test_")
    short = name.removeprefix(f"{task}_")
    return (short or name).replace("_", " ").strip()


def _first(tasks: Sequence[_Task]) -> tuple[_Task, _Check] | None:
    """The check to read first: of a task whose code had to be stopped, else a known mistake, else any."""
    failures = [(task, check) for task in tasks for check in task.failed if task.state != "engine"]
    stopped = [pair for pair in failures if pair[0].stopped]
    named = [pair for pair in failures if pair[1].mistake]
    return next(iter(stopped or named or failures), None)
