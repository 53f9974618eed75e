"""``autograder calibrate``: measure the thresholds of an assignment with golden submissions, and store them.

Every right and every known-bad golden submission of a threshold is graded with many seeds, by the engine
that grades students. In this mode only checks with a threshold run, each makes all its runs, and no value
fails it: what comes back are the values of single runs, of which :mod:`autograder.calibration` makes a
threshold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from math import nan
from pathlib import Path

from autograder import calibration, calibration_files, console, datasets, golden
from autograder.config import Config
from autograder.errors import AutograderError, SuiteError, UsageError
from autograder.layout import DECLARATION
from autograder.models import CheckResult, NotebookResult, Outcome
from autograder.schedule import FileJob, Pool, Setup, device_of
from autograder.thresholds import Calibration, Threshold, Thresholds, Variant, load

__all__ = ["Plan", "check", "command", "declaring", "measure", "plan", "run"]

_VERSIONS = ("numpy", "scikit-learn", "torch")


@dataclass(frozen=True)
class Plan:
    """What is measured: the golden submissions of each threshold, the right ones first. ``kinds`` is the data
    kind of each threshold, None where it needs no data set."""

    assignment: str
    thresholds: tuple[Threshold, ...]
    goldens: Mapping[str, golden.Golden]
    right: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, str | None] = field(default_factory=dict)

    def variants(self, threshold: Threshold) -> tuple[str, ...]:
        """Names of the golden submissions of ``threshold``."""
        return (*self.right[threshold.name], *threshold.wrong)

    def tasks(self, variant: str) -> frozenset[str]:
        """The tasks that are judged of ``variant``."""
        return frozenset(one.task for one in self.thresholds if variant in self.variants(one))


def declaring(settings: Config) -> tuple[str, ...]:
    """The assignments whose suites declare thresholds."""
    course = settings.course
    return tuple(name for name in course.assignments() if (course.suite_dir(name) / DECLARATION).is_file())


def plan(settings: Config, thresholds: Thresholds, only: str | None = None, data: str = "auto") -> Plan:
    """What to measure for all thresholds, or the one named ``only``.

    :raises UsageError: a golden submission that a threshold names does not exist.
    """
    chosen = (thresholds.get(only),) if only else tuple(thresholds.declared.values())
    folder = settings.course.golden_dir(thresholds.assignment)
    known = {item.name: item for item in golden.load_all(folder)}
    right = {}
    for threshold in chosen:
        right[threshold.name] = threshold.right or tuple(_right(known.values(), threshold.task))
        missing = [name for name in (*right[threshold.name], *threshold.wrong) if name not in known]
        if missing:
            raise UsageError(
                f"[{threshold.name}] of {thresholds.assignment} names golden submissions that are not in "
                f"{folder}: {', '.join(missing)}"
            )
    kinds = {one.name: datasets.kind_of(one.data, data) if one.data else None for one in chosen}
    for one in chosen:
        one.start_for(kinds[one.name])  # an error now, and not after minutes of measuring
    return Plan(thresholds.assignment, chosen, known, right, kinds)


def _right(goldens: Iterable[golden.Golden], task: str) -> list[str]:
    """The solution, and every submission that answers ``task`` in its own way and gets full marks."""
    full = [
        item
        for item in goldens
        if item.base == "solution"
        and item.expected.outcome in (None, Outcome.PASSED)
        and not item.expected.tasks
        and (item.name == "solution" or task in item.cells)
    ]
    return [item.name for item in sorted(full, key=lambda item: (item.name != "solution", item.name))]


def measure(
    settings: Config, what: Plan, *, seeds: int, workers: int, device: str, data: str, sandbox: bool = True
) -> dict[str, list[Variant]]:
    """The measured variants of each threshold, by its name."""
    names = list(dict.fromkeys(name for one in what.thresholds for name in what.variants(one)))
    found: dict[tuple[str, str], dict[int, CheckResult]] = {}
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for name in names:
            path = Path(folder) / f"{name}.ipynb"
            path.write_bytes(what.goldens[name].notebook_bytes(settings.course))
            jobs += [FileJob(what.assignment, path, seed, what.tasks(name)) for seed in range(seeds)]
        setup = Setup(
            settings.course,
            (what.assignment,),
            settings.limits,
            device,
            sandbox,
            secret=b"",  # every job has a seed of its own
            data=data,
            measuring=True,
        )
        with Pool(setup, min(workers, len(jobs))) as pool:
            for job, result in _shown(pool.map(jobs), len(jobs), what.assignment):
                for threshold in what.thresholds:
                    if job.path.stem in what.variants(threshold):
                        per_seed = found.setdefault((threshold.name, job.path.stem), {})
                        per_seed[job.seed or 0] = _result_of(threshold, job, result)
    return {
        one.name: [_variant(what, one, name, found[one.name, name]) for name in what.variants(one)]
        for one in what.thresholds
    }


def _shown(
    results: Iterator[tuple[FileJob, NotebookResult]], total: int, assignment: str
) -> Iterator[tuple[FileJob, NotebookResult]]:
    print(f"{assignment}: {total} gradings …", file=sys.stderr, flush=True)
    step = max(1, total // 10)
    for done, item in enumerate(results, 1):
        if done % step == 0 or done == total:
            print(f"  {done} of {total}", file=sys.stderr, flush=True)
        yield item


def _result_of(threshold: Threshold, job: FileJob, result: NotebookResult) -> CheckResult:
    """The record of the threshold's check.

    :raises AutograderError: the engine failed, so that nothing can be said.
    """
    for task in result.tasks:
        for record in task.checks:
            if record.id == threshold.check and record.outcome is not Outcome.ENGINE_ERROR:
                return record
    why = "; ".join(filter(None, [result.message, *(one.message for t in result.tasks for one in t.checks)]))
    raise AutograderError(f"{job.path.stem}, seed {job.seed}: {threshold.check} was not judged. {why}")


def _variant(what: Plan, threshold: Threshold, name: str, results: Mapping[int, CheckResult]) -> Variant:
    seeds, lost = [], 0
    for seed in sorted(results):
        record = results[seed]
        values = tuple(value for key, value in record.measured if key == threshold.name)
        if record.outcome is Outcome.PASSED and not values:
            raise SuiteError(f"{threshold.check} never used calibrated({threshold.name!r}) with {name}")
        seeds.append(values)
        lost += record.outcome is not Outcome.PASSED
    return Variant(name, name in what.right[threshold.name], tuple(seeds), lost)


# -- the command


def command(settings: Config, options: argparse.Namespace, data: str) -> int:
    """``autograder calibrate`` with these options; gives the exit code."""
    names = tuple(dict.fromkeys(options.assignments)) or declaring(settings)
    if options.check:
        found = check(settings, names)
        print("\n".join(found) or f"current: {', '.join(names) or 'no assignment declares thresholds'}")
        return 1 if found else 0
    if options.threshold and len(names) != 1:
        raise UsageError("--threshold names a threshold of one assignment: name that one, too")
    for name in names:
        run(
            settings,
            name,
            seeds=options.seeds,
            workers=options.workers or settings.workers,
            only=options.threshold,
            data=data,
            device=options.device,
            sandbox=not options.unsafe_no_sandbox,
        )
    return 0


def run(
    settings: Config,
    assignment: str,
    *,
    seeds: int,
    workers: int,
    only: str | None = None,
    data: str = "auto",
    device: str = "cpu",
    sandbox: bool = True,
) -> None:
    """Measure, print and store the thresholds of ``assignment``.

    :raises UsageError: it declares none.
    :raises SuiteError: no threshold can meet the goal with what was measured.
    """
    thresholds = _load(settings, assignment)
    device = device_of(device)
    what = plan(settings, thresholds, only, data)
    measured = measure(
        settings, what, seeds=seeds, workers=workers, device=device, data=data, sandbox=sandbox
    )
    versions = {library: version(library) for library in _VERSIONS}
    made, failures = [], []
    for one in what.thresholds:
        kind = what.kinds[one.name]
        try:
            item = calibration.calibrated(one, kind, device, measured[one.name], versions)
            made.append(item)
        except SuiteError as error:  # show what was measured all the same, and store the others
            failures.append(str(error))
            start = one.start_for(kind)
            item = Calibration(one.name, kind or "", device, start, nan, {}, {}, tuple(measured[one.name]))
        _print(one, item)
    if made:
        new = {item.key for item in made}
        old = [item for item in thresholds.calibrations if item.threshold in thresholds.declared]
        kept = [item for item in old if item.key not in new]
        together = replace(thresholds, calibrations=(*kept, *made))
        for path in calibration_files.write(settings.course, together):
            print(f"wrote {path}")
    if failures:
        raise SuiteError("\n".join(failures))


def _print(threshold: Threshold, item: Calibration) -> None:
    wish = threshold.start_for(item.kind)
    print(f"\n{calibration_files.title(threshold, item)}; start {threshold.text(wish)}")
    table = console.table(*((name, "right" if number else "left") for number, name in enumerate(_headings())))
    for line in calibration_files.cells(threshold, item):
        table.add_row(*line)
    console.console().print(table)
    rate = calibration.rate_text(item.false_rejection)
    print(f"predicted false rejections of the worst right variant: {rate}")
    rejected = [
        row for row in calibration.rows(threshold, item.kind, item.variants, item.value) if row.rejected
    ]
    for row in rejected:
        if row.right:
            print(f"warning: {row.rejected} of {row.verdicts} verdicts rejected {row.name}, which is right")


def _headings() -> Sequence[str]:
    return calibration_files.HEADINGS


def check(settings: Config, assignments: Sequence[str]) -> list[str]:
    """What is wrong with the stored calibrations of ``assignments``, a line each. Nothing is graded."""
    found: list[str] = []
    for name in assignments:
        thresholds = _load(settings, name)
        wrong = calibration.problems(thresholds)
        if not wrong and not calibration_files.is_current(settings.course, thresholds):
            wrong = [f"{name}: its pages in {settings.course.calibration_dir} are not of the stored values"]
        found += wrong
    return found


def _load(settings: Config, assignment: str) -> Thresholds:
    settings.course.source_notebooks(assignment)  # a UsageError with the known names when there is none
    folder = settings.course.suite_dir(assignment)
    thresholds = load(folder)
    if not thresholds.declared:
        raise UsageError(f"{assignment} declares no thresholds: there is no {folder / DECLARATION}")
    return thresholds
