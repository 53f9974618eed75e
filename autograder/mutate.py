"""``autograder mutate``: does a suite notice small mistakes in the instructor's own solutions?

Each mutant of :mod:`autograder.mutation` is graded by the engine that grades students, with no more than it
needs: the notebook holds the mutated solution cell and no other answer, and of the checks of its task those
run up to the first that fails. A mutant with full points has survived: the suite has a hole, or the mutant is
right as well, which ``equivalent.toml`` beside the suite says with a reason.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.text import Text

from autograder import console
from autograder.config import Config
from autograder.display import clean_text
from autograder.errors import SuiteError, UsageError
from autograder.limits import Limits
from autograder.models import NotebookResult, Outcome, TaskResult
from autograder.mutation import EQUIVALENTS, Equivalent, Mutant, Subject, all_mutants, load, match, subjects
from autograder.schedule import FileJob, Pool, Setup, device_of

__all__ = ["Report", "Verdict", "command", "run"]

_FACTOR, _GRACE_S = 3.0, 2.0
"""A mutant may take so many times the wall time of the solution, and so many seconds more."""
_KILLED, _SURVIVED, _EQUIVALENT, _BROKEN = _STATES = ("killed", "survived", "equivalent", "engine error")


@dataclass(frozen=True)
class Verdict:
    """One graded mutant. ``outcome``, ``check`` and ``message`` are of the check that killed it; ``reason``
    is that of equivalent.toml."""

    mutant: Mutant
    state: str
    outcome: Outcome
    wall_s: float
    check: str = ""
    message: str = ""
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        before, after = self.mutant.lines
        return {
            "id": self.mutant.id,
            "task": self.mutant.task,
            "operator": self.mutant.operator,
            "state": self.state,
            "outcome": self.outcome.value,
            "check": self.check,
            "message": self.message,
            "reason": self.reason,
            "wall_s": round(self.wall_s, 3),
            "before": before,
            "after": after,
            "diff": self.mutant.diff if self.state != _KILLED else "",
        }


@dataclass(frozen=True)
class Report:
    """All mutants of one assignment; ``stale`` says which entries of equivalent.toml are so no more."""

    assignment: str
    verdicts: tuple[Verdict, ...]
    seed: int
    wall_s: float
    stale: tuple[str, ...] = ()

    def count(self, state: str, task: str | None = None) -> int:
        """How many mutants (of ``task``) are in ``state``."""
        return sum(one.state == state and task in (None, one.mutant.task) for one in self.verdicts)

    def rate(self, task: str | None = None) -> float:
        """Killed mutants (of ``task``) among those that are not equivalent; 1.0 where there are none."""
        killed = self.count(_KILLED, task)
        counted = killed + self.count(_SURVIVED, task)
        return killed / counted if counted else 1.0

    @property
    def tasks(self) -> tuple[str, ...]:
        """Ids of the tasks that have mutants."""
        return tuple(dict.fromkeys(one.mutant.task for one in self.verdicts))

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""

        def numbers(task: str | None) -> dict[str, Any]:
            wall_s = sum(one.wall_s for one in self.verdicts if task in (None, one.mutant.task))
            counts = {state.replace(" ", "_"): self.count(state, task) for state in _STATES}
            return counts | {"rate": round(self.rate(task), 4), "grading_s": round(wall_s, 2)}

        return {
            "assignment": self.assignment,
            "seed": self.seed,
            "wall_s": round(self.wall_s, 2),
            **numbers(None),
            "tasks": {task: numbers(task) for task in self.tasks},
            "stale": list(self.stale),
            "mutants": [one.to_json() for one in self.verdicts],
        }


# -- grading


def run(
    settings: Config,
    assignment: str,
    *,
    tasks: Sequence[str] = (),
    workers: int = 1,
    seed: int = 0,
    limit: int | None = None,
    device: str = "cpu",
    data: str = "auto",
    sandbox: bool = True,
) -> Report:
    """Grade the mutants of ``assignment``, or of these of its tasks; ``limit`` as for :func:`all_mutants`.

    :raises UsageError: an assignment or task is unknown.
    :raises SuiteError: a solution does not pass its own checks, or equivalent.toml is wrong.
    """
    started = time.monotonic()
    known = load(settings.course.suite_dir(assignment))
    chosen = subjects(settings.course, assignment, tasks)
    todo = all_mutants(chosen.values(), limit)
    setup = Setup(
        settings.course,
        (assignment,),
        settings.limits,
        device_of(device),
        sandbox,
        secret=b"",  # every job has a seed of its own
        data=data,
        until_failure=True,
    )
    with tempfile.TemporaryDirectory() as name, Pool(setup, max(1, min(workers, len(todo)))) as pool:
        bench = _Bench(pool, Path(name), assignment, seed)
        bounds = bench.measure(chosen, settings.limits)
        verdicts = tuple(bench.grade(chosen, todo, bounds, known))
    stale = () if limit is not None else tuple(_stale(known, verdicts, chosen, everything=not tasks))
    return Report(assignment, verdicts, seed, time.monotonic() - started, stale)


@dataclass(frozen=True)
class _Bounds:
    keep: int
    limits: Limits


@dataclass(frozen=True)
class _Bench:
    """Grades solution cells one by one."""

    pool: Pool
    folder: Path
    assignment: str
    seed: int

    def measure(self, chosen: Mapping[str, Subject], limits: Limits) -> dict[str, _Bounds]:
        """How little of its notebook each solution needs, and the limits for its mutants."""
        found: dict[str, _Bounds] = {}
        problems: dict[str, str] = {}
        for keep in range(3):
            left = {task: one for task, one in chosen.items() if task not in found}
            jobs = {
                self._job(f"{keep}-{task}", one, one.source, keep, limits): task for task, one in left.items()
            }
            for job, result in self.pool.map(list(jobs)):
                task = jobs[job]
                judged = _judged(result, task)
                if judged is not None and judged.outcome is Outcome.PASSED:
                    wall_s = min(limits.submission_wall_s, _FACTOR * result.wall_s + _GRACE_S)
                    found[task] = _Bounds(keep, replace(limits, submission_wall_s=wall_s, restarts=0))
                else:
                    problems[task] = _why(result, judged)[1]
        for task in chosen:
            if task not in found:
                raise SuiteError(
                    f"the solution of {self.assignment}/{task} does not pass its own checks: {problems[task]}"
                )
        return found

    def grade(
        self,
        chosen: Mapping[str, Subject],
        todo: Sequence[Mutant],
        bounds: Mapping[str, _Bounds],
        known: Sequence[Equivalent],
    ) -> Iterator[Verdict]:
        """The verdicts on ``todo``, in its order."""
        jobs: dict[FileJob, Mutant] = {}
        for number, mutant in enumerate(todo):
            bound = bounds[mutant.task]
            job = self._job(f"{number}", chosen[mutant.task], mutant.source, bound.keep, bound.limits)
            jobs[job] = mutant
        done: dict[str, Verdict] = {}
        print(f"{self.assignment}: {len(jobs)} mutants …", file=sys.stderr, flush=True)
        step = max(1, len(jobs) // 10)
        for count, (job, result) in enumerate(self.pool.map(list(jobs)), 1):
            mutant = jobs[job]
            done[mutant.id] = _verdict(mutant, result, known)
            job.path.unlink()
            if count % step == 0 or count == len(jobs):
                print(f"  {count} of {len(jobs)}", file=sys.stderr, flush=True)
        return (done[mutant.id] for mutant in todo)

    def _job(self, label: str, subject: Subject, source: str, keep: int, limits: Limits) -> FileJob:
        path = self.folder / label / f"{subject.name}.ipynb"  # which notebook it is goes by its name
        path.parent.mkdir()
        path.write_bytes(subject.notebook(source, keep=keep))
        return FileJob(self.assignment, path, self.seed, frozenset({subject.task}), limits)


def _judged(result: NotebookResult, task: str) -> TaskResult | None:
    return next((one for one in result.tasks if one.id == task), None)


def _why(result: NotebookResult, judged: TaskResult | None) -> tuple[str, str]:
    """The first check that was not passed, and the first line of its message."""
    for check in judged.checks if judged is not None else ():
        if check.outcome is not Outcome.PASSED:
            return check.id, console.short(check.message, 300)
    return "", console.short(result.message, 300)


def _verdict(mutant: Mutant, result: NotebookResult, known: Sequence[Equivalent]) -> Verdict:
    judged = _judged(result, mutant.task)
    check, message = _why(result, judged)
    if judged is None or judged.score is None:
        if judged is not None:  # of a defect all is worth knowing
            broken = (one for one in judged.checks if one.outcome is Outcome.ENGINE_ERROR and one.explanation)
            traces = (one.explanation.traceback or "" for one in broken if one.explanation)
            message = f"{message}\n{next(traces, '')}".rstrip()
        return Verdict(mutant, _BROKEN, Outcome.ENGINE_ERROR, result.wall_s, check, message)
    if judged.score < judged.max_score:
        outcome = next((one.outcome for one in judged.checks if one.id == check), judged.outcome)
        return Verdict(mutant, _KILLED, outcome, result.wall_s, check, message)
    entry = match(known, mutant)
    state = _SURVIVED if entry is None else _EQUIVALENT
    return Verdict(mutant, state, Outcome.PASSED, result.wall_s, reason=entry.reason if entry else "")


def _stale(
    known: Iterable[Equivalent],
    verdicts: Sequence[Verdict],
    chosen: Mapping[str, Subject],
    *,
    everything: bool,
) -> Iterator[str]:
    """What is wrong with the entries of equivalent.toml, a line each."""
    for entry in known:
        states = {one.state for one in verdicts if entry.covers(one.mutant)}
        change = f"{entry.task}: {entry.before!r} → {entry.after!r}"
        if entry.task not in chosen:
            if everything:
                yield f"{change}: there is no such task"
        elif not states:
            yield f"{change}: there is no such mutant"
        elif _EQUIVALENT not in states:
            yield f"{change}: the suite rejects it ({', '.join(sorted(states))})"


# -- the command


def command(settings: Config, options: argparse.Namespace, data: str) -> int:
    """``autograder mutate`` with these options; 1 where a mutant broke the suite or too many survived."""
    if options.list:
        for mutant in all_mutants(
            subjects(settings.course, options.assignment, options.task).values(), options.limit
        ):
            print(mutant.id, " ⏎ ".join(mutant.lines[0].split("\n")), sep="\t", end="\t→\t")
            print(" ⏎ ".join(mutant.lines[1].split("\n")))
        return 0
    report = run(
        settings,
        options.assignment,
        tasks=options.task,
        workers=options.workers or settings.workers,
        seed=options.seed,
        limit=options.limit,
        device=options.device,
        data=data,
        sandbox=not options.unsafe_no_sandbox,
    )
    _print(report)
    if options.json is not None:
        try:
            options.json.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--json {options.json}: {error}") from error
    low = report.rate() < options.goal
    if low:
        print(f"below the goal: {report.rate():.1%} of {options.goal:.1%}", file=sys.stderr)
    return 1 if low or report.count(_BROKEN) else 0


def _print(report: Report) -> None:
    printer = console.console()
    for one in report.verdicts:
        if one.state in (_SURVIVED, _BROKEN):
            head = f"{one.state}: {one.mutant.id}"
            printer.print(Text(head, style="bold"))
            printer.print(Text(clean_text(f"{one.mutant.diff}\n{one.message}".rstrip() + "\n")))
    table = console.table(
        ("task", "left"),
        *((name, "right") for name in ("mutants", "killed", "survived", "equivalent", "engine errors")),
        *((name, "right") for name in ("kill rate", "seconds")),
    )
    for task in (*report.tasks, None):
        counts = [report.count(state, task) for state in _STATES]
        wall_s = sum(one.wall_s for one in report.verdicts if task in (None, one.mutant.task))
        numbers = [str(number) for number in (sum(counts), *counts)]
        table.add_row(task or "all", *numbers, f"{report.rate(task):.1%}", f"{wall_s:.1f}")
    printer.print(table)
    ended = sum(one.outcome is Outcome.TIMEOUT for one in report.verdicts)
    text = f"{report.assignment}: {report.rate():.1%} of the mutants that are not equivalent were killed"
    printer.print(Text(f"{text} ({ended} by a time limit), in {report.wall_s:.0f} s"))
    for line in report.stale:
        printer.print(Text(f"stale entry in {EQUIVALENTS}: {line}"))
