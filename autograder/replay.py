"""``autograder replay``: repeat a stored result from the stored submission, and compare."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.text import Text

from autograder import console, ledger
from autograder.config import Config
from autograder.differences import notes, task_changes, tasks_of
from autograder.display import clean_text
from autograder.errors import ConfigError, UsageError
from autograder.keys import MEANING, Conditions, Keys, changed
from autograder.ledger import Entry
from autograder.limits import Limits
from autograder.schedule import Job, device_of, grade_submissions

__all__ = ["command", "conditions_of"]


def command(options: argparse.Namespace, settings: Config) -> int:
    """``autograder replay``; the exit code, 1 when a verdict differs."""
    course, student, assignment = settings.course, options.student, options.assignment
    course.source_notebooks(assignment)
    entry = ledger.entries(course, [assignment]).get((student, assignment))
    before = ledger.result_of(course, student, assignment)
    if entry is None or before is None:
        raise UsageError(
            f"there is no stored result of {student!r} for {assignment}; run: autograder grade {assignment} "
            f"--student {student}"
        )
    folder = course.submitted(student, assignment)
    if not folder.is_dir():
        raise UsageError(f"the submission {folder} is gone; put it back to replay its result")
    how = conditions_of(entry, settings)
    now = Keys(course, how).of(assignment, folder)
    out = console.console()
    out.print(f"{clean_text(student)} {assignment}, graded {entry.graded_at}")
    parts = changed(entry.key, now)
    for part in parts:
        was, is_ = _facts(part, entry.key.get(part, "unknown"), now[part])
        print(f"no longer holds: {MEANING[part]}: now {is_}, was {was}")
    job = Job(student, assignment, folder)
    results = list(
        grade_submissions(
            course, [job], workers=1, limits=how.limits, secret=how.secret, device=how.device, data=how.data
        )
    )
    after = [notebook.to_json() for result in results for notebook in result.notebooks]
    return _compare(before, after, out, holds=not parts)


def conditions_of(entry: Entry, settings: Config) -> Conditions:
    """The conditions of a stored result, as far as this machine has them; always in a sandbox."""
    try:
        limits = Limits().with_changes(json.loads(entry.key["limits"]))
    except (KeyError, ValueError, ConfigError):  # another version had other limits
        print("the stored limits cannot be read; those of the course are used", file=sys.stderr)
        limits = settings.limits
    device = entry.key.get("device", "cpu")
    if device != "cpu" and device_of("auto") != device:
        print(f"there is no {device} here; the CPU is used", file=sys.stderr)
        device = "cpu"
    data = entry.key.get("data", "")
    kinds = {kind for kind in ("sample", "full") if f"mnist {kind}" in data}
    return Conditions(limits, settings.secret(), device, data=kinds.pop() if kinds else settings.data)


def _facts(part: str, before: str, after: str) -> tuple[str, str]:
    """The stored and the present text of a part: of tables only what differs."""
    try:
        was, now = json.loads(before), json.loads(after)
    except ValueError:
        return before, after
    if not (isinstance(was, dict) and isinstance(now, dict)):
        return before, after
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return tuple(  # type: ignore[return-value]  # two
        ", ".join(f"{name} {str(side.get(name, 'missing'))[:100]}" for name in names) for side in (was, now)
    )


def _compare(before: list[dict[str, Any]], after: list[dict[str, Any]], out: Any, *, holds: bool) -> int:
    changes, other = task_changes(before, after), notes(before, after)
    for change in changes:
        points = f"{console.points(change.before)} → {console.points(change.after)}"
        head = f"{change.id}: {points} of {console.points(change.max_score)}"
        _line(out, head if change.before != change.after else f"{change.id}: the same points", "bold")
        for check in change.checks:
            _line(out, f"    {check.text()}", "yellow" if check.verdict else "dim")
    for note in other:
        _line(out, note, "dim")
    tasks = tasks_of(after)
    count = sum(len(task["checks"]) for task in tasks.values())
    score = f"score {_score(before)} → {_score(after)}"
    if any(change.verdict for change in changes):
        differ = sum(change.verdict for change in changes)
        out.print(f"{score}: the verdict differs in {differ} of {len(tasks)} tasks")
        if holds:
            out.print("every stored fact holds: a check or the submission does not repeat itself")
        return 1
    words = "other words, the same verdict" if changes or other else "the same verdict, the same messages"
    out.print(f"{score}: {words} in {len(tasks)} tasks, {count} checks")
    return 0


def _score(notebooks: list[dict[str, Any]]) -> str:
    scores = [notebook["score"] for notebook in notebooks]
    return console.points(None if None in scores else sum(scores))


def _line(out: Any, text: str, style: str) -> None:
    out.print(Text(clean_text(text), style=style))
