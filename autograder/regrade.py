"""``autograder regrade``: who would gain or lose how much by a change, and why, before anything is written.

What was graded from other content (see :mod:`autograder.keys`) is graded again in memory and compared with
the stored results. Only then, and only when the instructor agrees, the new results are stored.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from autograder import batch, commands, console, ledger, upkeep
from autograder.config import Config
from autograder.differences import TaskChange, task_changes, tasks_of
from autograder.display import clean_text
from autograder.errors import UsageError
from autograder.keys import MEANING, Keys, changed
from autograder.layout import Course
from autograder.models import SubmissionResult
from autograder.schedule import Job

__all__ = ["Change", "command", "compare", "stale"]

_NO_RECORD = "it was graded without a record of what with"


@dataclass(frozen=True, slots=True)
class Change:
    """What a regrade does to one submission.

    ``before`` and ``after`` are points over all tasks, those by hand included; ``by_hand`` the ids of tasks
    whose points a person gave, which stay. ``why`` names what was different.
    """

    student: str
    assignment: str
    before: float
    after: float | None
    tasks: tuple[TaskChange, ...]
    by_hand: frozenset[str]
    why: str

    @property
    def gain(self) -> float:
        """Points won; negative when lost, 0 when the engine came to no verdict."""
        return 0.0 if self.after is None else round(self.after - self.before, 9)


def stale(
    course: Course, todo: Iterable[Job], keys: Keys, *, force: bool = False
) -> tuple[list[tuple[Job, str]], list[Job]]:
    """The graded submissions of ``todo`` whose content differs from what was graded, each with the reason,
    and those that were never graded. With ``force`` all that were graded."""
    todo = list(todo)
    known = ledger.entries(course, sorted({job.assignment for job in todo}))
    again: list[tuple[Job, str]] = []
    never: list[Job] = []
    for job in todo:
        entry = known.get((job.student, job.assignment))
        if entry is not None:
            parts = changed(entry.key, keys.of(job.assignment, job.path))
            if parts or force:
                again.append((job, ", ".join(MEANING[part] for part in parts) or "nothing"))
        elif ledger.auto_scores(course, job.student, job.assignment):
            again.append((job, _NO_RECORD))
        else:
            never.append(job)
    return again, never


def compare(course: Course, result: SubmissionResult, why: str) -> Change:
    """``result`` beside what the gradebook has of this submission."""
    rows = ledger.auto_scores(course, result.student, result.assignment)
    by_hand = frozenset(name for name, (_, manual) in rows.items() if manual is not None)
    new = [notebook.to_json() for notebook in result.notebooks]
    old = ledger.result_of(course, result.student, result.assignment)
    if old is None:
        old = _without_record(new, rows)
    total: list[float] = []
    for notebooks in (old, new):
        points = 0.0
        for (_, name), task in tasks_of(notebooks).items():
            manual = rows.get(name, (None, None))[1]
            points += manual if manual is not None else task["score"] or 0.0
        total.append(points)
    after = None if result.score is None else total[1]
    tasks = task_changes(old, new)
    return Change(result.student, result.assignment, total[0], after, tasks, by_hand, why)


def _without_record(
    new: Sequence[Mapping[str, Any]], rows: Mapping[str, tuple[float | None, float | None]]
) -> list[dict[str, Any]]:
    """What the gradebook alone knows of a submission: the points of its tasks."""
    notebooks = []
    for notebook in new:
        tasks = []
        for task in notebook["tasks"]:
            score = rows.get(task["id"], (None, None))[0]
            same = score == task["score"]
            tasks.append({**task, "score": score, "checks": task["checks"] if same else []})
        notebooks.append({**notebook, "tasks": tasks})
    return notebooks


def command(options: argparse.Namespace, settings: Config, assignments: Sequence[str]) -> int:
    """``autograder regrade``; the exit code."""
    if not (options.dry_run or options.yes or sys.stdin.isatty()):
        raise UsageError("regrade asks before it writes, and there is no terminal: add --dry-run or --yes")
    course = settings.course
    todo, refused = batch.jobs(course, assignments, options.student)
    for message in refused:
        print(f"left out: {message}", file=sys.stderr)
    how = commands.conditions(options, settings)
    again, never = stale(course, todo, Keys(course, how), force=options.force)
    if never:
        print(f"{len(never)} were never graded; that is for: autograder grade", file=sys.stderr)
    if not again:
        print("nothing to regrade: every graded submission was graded from the same content")
        return 0
    reasons = {(job.student, job.assignment): why for job, why in again}
    jobs = [job for job, _ in again]
    console.say_data(settings, sorted({job.assignment for job in jobs}), how.data)
    runner = batch.Runner(course, how, jobs)
    results: list[SubmissionResult] = []
    changes: list[Change] = []
    with console.Ticker(len(jobs), "Regrading") as ticker:
        for result in runner.results(options.workers or settings.workers):
            ticker.tick(result)
            results.append(result)
            changes.append(compare(course, result, reasons[result.student, result.assignment]))
    changes.sort(key=lambda change: (change.assignment, change.student))
    show(changes)
    failed = sum(change.after is None for change in changes)
    if options.dry_run:
        print("nothing was written")
        return 1 if failed else 0
    if not options.yes and input("write these scores? [y/N] ").strip().lower() not in ("y", "yes"):
        print("nothing was written")
        return 1 if failed else 0
    stored = list(runner.store(results))
    problems = [item for item in stored if item.problem]
    for item in problems:
        print(f"{clean_text(item.result.student)}: {item.problem}", file=sys.stderr)
    written = {(item.result.student, item.result.assignment) for item in stored if not item.problem}
    # Points and comments by hand go onto the new pages.
    for update in upkeep.refresh(course, [job for job in jobs if (job.student, job.assignment) in written]):
        print(upkeep.text(update), file=sys.stderr)
    print(f"{len(results) - failed - len(problems)} submissions were written")
    return 1 if failed or problems else 0


def show(changes: Sequence[Change]) -> None:
    """The changes for people: who, how much, why, and which checks made it."""
    out = console.console()
    for change in changes:
        words = [task for task in change.tasks if task.verdict]
        if change.after is None:
            _line(
                out, f"{change.student} {change.assignment}: could not be graded now; keeps its scores", "red"
            )
            continue
        if not words:
            continue
        style = "green" if change.gain > 0 else "yellow" if change.gain < 0 else ""
        amount = f"{change.gain:+g}" if change.gain else "±0"
        score = f"{console.points(change.before)} → {console.points(change.after)}"
        _line(out, f"{change.student} {change.assignment}  {score}  ({amount})  changed: {change.why}", style)
        for task in words:
            points = f"{console.points(task.before)} → {console.points(task.after)}"
            kept = "; the points given by hand stay" if task.id in change.by_hand else ""
            _line(out, f"    {task.id}  {points} of {console.points(task.max_score)}{kept}", "")
            for check in task.checks:
                if check.verdict:
                    message = console.short((check.after or {}).get("message"))
                    _line(out, f"        {check.text()}" + (f": {message}" if message else ""), "dim")
    gain = [change.gain for change in changes if change.gain > 0]
    loss = [change.gain for change in changes if change.gain < 0]
    same = sum(change.after is not None and not change.gain for change in changes)
    out.print(
        f"{len(changes)} graded again: {len(gain)} gain {sum(gain):g} points, {len(loss)} lose "
        f"{-sum(loss):g}, {same} keep their points"
    )


def _line(out: Any, text: str, style: str) -> None:
    out.print(Text(clean_text(text), style=style))
