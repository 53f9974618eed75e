"""``autograder grade``: what is missing is graded, stored and shown."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from autograder import batch, console, profile, tally, upkeep
from autograder.config import Config
from autograder.credit import unusable_credits
from autograder.keys import Conditions
from autograder.schedule import device_of
from autograder.timeouts import limits_of

__all__ = ["conditions", "grade", "submission_json"]


def conditions(options: argparse.Namespace, settings: Config) -> Conditions:
    """How the options ``--device``, ``--data`` and ``--unsafe-no-sandbox`` want submissions graded."""
    return Conditions(
        limits=limits_of(settings),
        secret=settings.secret(),
        device=device_of(options.device),
        sandbox=not options.unsafe_no_sandbox,
        data=options.data or settings.data,
    )


def grade(options: argparse.Namespace, settings: Config, assignments: Sequence[str]) -> int:
    """Grade ``assignments``; the exit code."""
    course = settings.course
    todo, refused = batch.jobs(course, assignments, options.student)
    for message in refused:
        print(f"left out: {message}", file=sys.stderr)
    if not todo:
        print(f"nothing to grade in {settings.root / 'submitted'}/<student>/<assignment>/", file=sys.stderr)
    how = conditions(options, settings)
    everything = todo
    if not options.force:
        todo = batch.pending(course, todo, how)
        if len(everything) > len(todo):
            print(
                f"{len(everything) - len(todo)} graded already (--force grades them again)", file=sys.stderr
            )
    console.say_data(settings, sorted({job.assignment for job in todo}), how.data)
    workers = options.workers or settings.workers
    started, first = time.monotonic(), 0.0
    lines: list[tally.Line] = []
    objects: list[dict[str, Any]] = []
    stages = profile.Profile()
    with console.Ticker(len(todo)) as ticker:
        for item in batch.grade(
            course,
            todo,
            workers=workers,
            limits=how.limits,
            secret=how.secret,
            device=how.device,
            sandbox=how.sandbox,
            data=how.data,
        ):
            first = first or time.monotonic() - started
            lines.append(tally.Line.of(item))
            stages.add(item)
            if options.json:
                objects.append(submission_json(item))
            ticker.tick(item.result)
            for notebook in item.result.notebooks:
                for task, message in unusable_credits(notebook):
                    ticker.say(f"{item.result.student}/{notebook.name}, test cell {task}: {message}")
            if item.problem:
                ticker.say(f"{item.result.student}: {item.problem}")
    seconds = time.monotonic() - started
    failed = {(line.student, line.assignment) for line in lines if line.score is None or not line.stored}
    done = [job for job in everything if (job.student, job.assignment) not in failed]
    for update in upkeep.refresh(course, done):
        print(upkeep.text(update), file=sys.stderr)
    if options.json:
        console.print_json(sorted(objects, key=lambda made: (made["assignment"], made["student"])))
    elif lines:
        console.console().print(tally.table(lines, seconds))
    if options.profile and lines:
        shown = stages.table(seconds, first, min(workers, len(lines)))
        console.console(stderr=options.json).print(shown)
    again = sorted((line for line in lines if line.score is None), key=lambda x: (x.assignment, x.student))
    if again:
        who = ", ".join(f"{line.student}/{line.assignment}" for line in again[:10])
        print(
            f"{len(again)} submissions have no score because of the engine; grade again: {who}",
            file=sys.stderr,
        )
        for reason, count in Counter(line.why for line in again).most_common(3):
            print(f"  {count} ×: {reason}", file=sys.stderr)
    return 1 if again or not all(line.stored for line in lines) else 0


def submission_json(item: batch.Graded) -> dict[str, Any]:
    """One object of ``autograder grade --json``, as ``docs/json.md`` says."""
    result = item.result
    return {
        "student": result.student,
        "assignment": result.assignment,
        "score": result.score,
        "max_score": result.max_score,
        "needs_manual_grade": result.needs_manual_grade,
        "outcome": result.outcome.value,
        "notebooks": [notebook.to_json() for notebook in result.notebooks],
        "key": dict(item.key),
    }
