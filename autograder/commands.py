"""``autograder grade``: what is missing is graded, stored and shown."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from autograder import batch, console, profile, upkeep
from autograder.config import Config
from autograder.credit import unusable_credits
from autograder.keys import Conditions
from autograder.models import SubmissionResult
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
    started, first, graded = time.monotonic(), 0.0, []
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
            graded.append(item)
            ticker.tick(item.result)
            for notebook in item.result.notebooks:
                for task, message in unusable_credits(notebook):
                    ticker.say(f"{item.result.student}/{notebook.name}, test cell {task}: {message}")
            if item.problem:
                ticker.say(f"{item.result.student}: {item.problem}")
    seconds = time.monotonic() - started
    failed = {
        (item.result.student, item.result.assignment)
        for item in graded
        if item.result.score is None or item.problem
    }
    done = [job for job in everything if (job.student, job.assignment) not in failed]
    for update in upkeep.refresh(course, done):
        print(upkeep.text(update), file=sys.stderr)
    graded.sort(key=lambda item: (item.result.assignment, item.result.student))
    results = [item.result for item in graded]
    if options.json:
        console.print_json([submission_json(item) for item in graded])
    elif results:
        console.console().print(console.summary_table(results, seconds))
    if options.profile and graded:
        shown = profile.table(graded, seconds, first, min(workers, len(graded)))
        console.console(stderr=options.json).print(shown)
    again = [result for result in results if result.score is None]
    if again:
        who = ", ".join(f"{result.student}/{result.assignment}" for result in again[:10])
        print(
            f"{len(again)} submissions have no score because of the engine; grade again: {who}",
            file=sys.stderr,
        )
        for reason, count in Counter(map(_why_no_score, again)).most_common(3):
            print(f"  {count} ×: {reason}", file=sys.stderr)
    return 1 if again or any(item.problem for item in graded) else 0


def _why_no_score(result: SubmissionResult) -> str:
    """What the engine says about a submission that it could not grade."""
    for notebook in result.notebooks:
        checks = [check for task in notebook.tasks for check in task.checks if check.score is None]
        traces = [check.explanation.traceback for check in checks if check.explanation]
        last = next((trace.strip().splitlines()[-1] for trace in traces if trace), "")
        if notebook.message or last:
            return (notebook.message or last)[:300]
    return "no reason is known; run it with --debug"


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
