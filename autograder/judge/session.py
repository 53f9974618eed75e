"""Suites collected once, and their checks run for one submission after another.

::

    def serve(judge: Judge) -> None:
        records = judge.judge_task(suite, TaskRun(spec, Copies(sandbox.branch), …))

    with_judge({"ex1_tensors": Path("autograder/suites/ex1_tensors")}, serve)

A check runs in a branch of the sandbox, a copy that dies with what the check did to it. Checks that pass
share a branch, those of one task and those of the next, as a fork costs more than most checks. A failure is
only believed from a fresh one, or, once that has confirmed a first failure, from one in which no earlier
check has left anything, so that no check can spoil the next. Long checks, those with a limit of their own,
get a fresh one at once.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import pytest

from autograder.datasets import DataSets
from autograder.errors import SandboxTimeout, SuiteError
from autograder.judge.calibrated import Calibrator
from autograder.judge.copies import Copies
from autograder.judge.draw import Draw
from autograder.judge.failure import CheckFailed, forget_result
from autograder.judge.mistakes import Mistake, collect
from autograder.judge.plugin import Context, JudgePlugin
from autograder.judge.recognise import forget_observations, observations, recognise
from autograder.judge.student import NotDefined, Student, StudentError
from autograder.judge.verdict import explain, not_a_function, not_run, outcome_of, printable
from autograder.keys import suite_digest
from autograder.layout import DECLARATION
from autograder.limits import Limits
from autograder.models import CheckResult, Explanation, Outcome, TaskSpec
from autograder.sandbox.client import Branch
from autograder.thresholds import Thresholds
from autograder.thresholds import load as load_thresholds

__all__ = ["Judge", "Suite", "SuiteCheck", "TaskRun", "with_judge"]

_log = logging.getLogger(__name__)
_PYTEST_OPTIONS = (
    "--import-mode=importlib",
    "--assert=plain",  # rewritten asserts would print expected values
    "--capture=no",
    "--strict-markers",
    *(
        f"-pno:{name}"
        for name in (
            "terminal",
            "logging",
            "cacheprovider",
            "faulthandler",
            "warnings",
            "junitxml",
            "pastebin",
        )
    ),
    *(
        f"-pno:{name}"
        for name in ("setuponly", "setupplan", "stepwise", "nose", "doctest", "unittest", "debugging")
    ),
    *(f"-pno:{name}" for name in ("unraisableexception", "threadexception")),
    "-c",
    os.devnull,
)


@dataclass(frozen=True)
class SuiteCheck:
    """One check: ``wall_s`` is None for the default limit."""

    id: str
    task: str
    points: float
    wall_s: float | None
    item: pytest.Item


@dataclass(frozen=True)
class Suite:
    """The checks of one assignment with what explains their failures. ``digest`` is of its files."""

    assignment: str
    checks: Mapping[str, tuple[SuiteCheck, ...]]
    mistakes: tuple[Mistake, ...]
    reference: ModuleType | None
    probes: tuple[str, str] | None
    digest: str
    thresholds: Thresholds = field(default_factory=Thresholds)

    @property
    def tasks(self) -> frozenset[str]:
        """Ids of its tasks."""
        return frozenset(self.checks)

    def points(self) -> dict[str, list[float]]:
        """The points of each task's checks."""
        return {task: [check.points for check in checks] for task, checks in self.checks.items()}


@dataclass(frozen=True)
class TaskRun:
    """How one task is to be judged. ``seed_for`` gives the seed of a check id; ``deadline`` is monotonic
    time."""

    spec: TaskSpec
    copies: Copies
    seed_for: Callable[[str], int]
    limits: Limits
    device: str
    deadline: float
    until_failure: bool = False
    """For ``autograder mutate``: checks after the first failed one are not run."""
    measuring: bool = False
    """For ``autograder calibrate``: only checks with a threshold are judged, each makes all its runs, and no
    value fails it."""


def with_judge(
    folders: Mapping[str, Path], serve: Callable[[Judge], None], data: DataSets | None = None
) -> None:
    """Collect the suites in ``folders`` (by assignment) and call ``serve`` with the judge of this process.

    ``data`` are the data sets that checks can ask for.

    :raises SuiteError: a suite cannot be imported or is inconsistent.
    """
    failure: list[BaseException] = []

    def loop(items: list[pytest.Item]) -> None:
        try:
            if plugin.collection_errors:
                raise SuiteError("a suite cannot be loaded:\n" + "\n".join(plugin.collection_errors))
            suites = {name: _suite(name, folder, items) for name, folder in folders.items()}
            gc.collect()
            gc.freeze()  # judge workers are forked from here
            gc.set_threshold(20_000, 20, 50)  # checks make many small objects and hardly any cycles
            serve(Judge(plugin, suites, data))
        except BaseException as error:  # carried past pytest, which would print it and go on
            failure.append(error)

    plugin = JudgePlugin(loop)
    paths = [str(folder) for folder in folders.values()]
    if not paths:
        serve(Judge(plugin, {}, data))
        return
    old = {
        name: os.environ.get(name)
        for name in ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_ADDOPTS", "PYTEST_PLUGINS")
    }
    for name in old:
        os.environ.pop(name, None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    root = os.path.commonpath(paths) if len(paths) > 1 else str(Path(paths[0]).parent)
    try:
        code = pytest.main([*_PYTEST_OPTIONS, f"--rootdir={root}", *paths], plugins=[plugin])
    finally:
        for name, value in old.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
    if failure:
        raise failure[0]
    if plugin.collection_errors or code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SuiteError(
            f"the suites in {root} cannot be loaded ({code!r}):\n" + "\n".join(plugin.collection_errors)
        )


def _suite(assignment: str, folder: Path, items: Iterable[pytest.Item]) -> Suite:
    checks: dict[str, list[SuiteCheck]] = {}
    seen: set[str] = set()
    package = None
    for item in items:
        if not item.path.is_relative_to(folder):
            continue
        if not isinstance(item, pytest.Function):
            raise SuiteError(f"{item.nodeid}: checks are functions")
        package = package or item.module.__name__.rpartition(".")[0]
        marks = list(item.iter_markers("points"))
        if len(marks) != 1:
            raise SuiteError(f"{item.nodeid}: a check needs exactly one @points(task, n)")
        task, points = marks[0].args
        limit = item.get_closest_marker("limit")
        wall_s = float(limit.kwargs["wall_s"]) if limit else None
        if item.name in seen:
            raise SuiteError(f"{item.nodeid}: another check of this suite has the same name")
        seen.add(item.name)
        checks.setdefault(task, []).append(SuiteCheck(item.name, task, float(points), wall_s, item))
    probes_path = folder / "probes.py"
    probes = (assignment, probes_path.read_text(encoding="utf-8")) if probes_path.is_file() else None
    mistakes = _part(package, folder, "mistakes")
    thresholds = load_thresholds(folder)
    for threshold in thresholds.declared.values():
        if all(check.id != threshold.check for check in checks.get(threshold.task, ())):
            raise SuiteError(
                f"{folder / DECLARATION}: [{threshold.name}] there is no check {threshold.check} of "
                f"task {threshold.task}"
            )
    return Suite(
        assignment=assignment,
        checks={task: tuple(group) for task, group in checks.items()},
        mistakes=collect(mistakes) if mistakes else (),
        reference=_part(package, folder, "reference"),
        probes=probes,
        digest=suite_digest(folder),
        thresholds=thresholds,
    )


def _part(package: str | None, folder: Path, name: str) -> ModuleType | None:
    if package is None or not (folder / f"{name}.py").is_file():
        return None
    full = f"{package}.{name}"
    return sys.modules.get(full) or importlib.import_module(full)


class Judge:
    """Runs checks. One in a process: pytest keeps state of its own."""

    def __init__(
        self, plugin: JudgePlugin | None, suites: Mapping[str, Suite], data: DataSets | None = None
    ) -> None:
        self._plugin, self.suites = plugin, suites
        self.data = data or DataSets()

    def judge_task(self, suite: Suite, run: TaskRun) -> tuple[CheckResult, ...]:
        """All checks of one task, in order.

        :raises SandboxError: the sandbox itself is gone (not just the branch of a check).
        """
        deadline = min(run.deadline, time.monotonic() + run.limits.task_wall_s)
        results: list[CheckResult] = []
        branch = run.copies.take()
        fresh, timeouts = branch is None, 0
        try:
            measured = {threshold.check for threshold in suite.thresholds.declared.values()}
            for check in suite.checks[run.spec.id]:
                if run.until_failure and results and results[-1].outcome is not Outcome.PASSED:
                    results.append(not_run(check, "an earlier check failed"))
                    continue
                if run.measuring and check.id not in measured:
                    results.append(not_run(check, "only thresholds are measured"))
                    continue
                wall_s = min(check.wall_s or run.limits.check_wall_s, run.deadline - time.monotonic())
                if check.wall_s is not None:
                    deadline = max(deadline, min(run.deadline, time.monotonic() + wall_s))
                if timeouts >= 2 or time.monotonic() >= deadline:
                    results.append(not_run(check, "earlier checks of this task used up its time"))
                    continue
                # A check with a limit of its own is a long one: where it fails it would have to run again.
                if branch is None:
                    branch, fresh = run.copies.new(), True
                elif not (run.copies.shared and check.wall_s is None):
                    branch, fresh = run.copies.instead_of(branch), True
                if not fresh:
                    run.copies.tidy(branch)
                result = self._once(suite, check, run, branch, wall_s, fresh=fresh)
                if result is None:
                    branch = run.copies.instead_of(branch)
                    result = self._once(suite, check, run, branch, wall_s, fresh=True)
                    passed = result is None or result.outcome is Outcome.PASSED
                    # Code that knows its second chance could guess twice: it gets one in a submission.
                    run.copies.shared &= not passed
                    run.copies.confirmed |= not passed
                assert result is not None
                fresh = False
                timeouts += result.outcome is Outcome.TIMEOUT
                if branch.dead:
                    branch.close()
                    branch = None
                results.append(result)
            if branch is not None:
                run.copies.keep(branch)
                branch = None
        finally:
            if branch is not None:
                branch.close()
        return tuple(results)

    def _once(
        self, suite: Suite, check: SuiteCheck, run: TaskRun, branch: Branch, wall_s: float, *, fresh: bool
    ) -> CheckResult | None:
        """The record of one run; None where a failure has to be seen in a fresh branch to be believed."""
        seed = run.seed_for(check.id)
        draw = Draw(seed)

        def open_student() -> Student:
            student = Student(branch, wall_s=wall_s, probes=suite.probes)
            # Not that of the draws, from which code could foretell what the judge has drawn but not sent.
            student.begin_check(run.seed_for(f"{check.id} in the sandbox"))
            return student

        calibrated = Calibrator(
            suite.thresholds, check.id, draw, self.data, run.device, measuring=run.measuring
        )
        context = Context(
            draw=draw, device=run.device, data=self.data, open_student=open_student, calibrated=calibrated
        )
        forget_result()
        forget_observations()
        if self._plugin is None:
            raise SuiteError("this judge has no pytest session")
        error, took_s = self._plugin.run(check.item, context)
        student = context.student
        if isinstance(error, TypeError) and student is not None and student.plain is not None:
            name, type_name = student.plain
            if str(error) == f"'{type_name.rpartition('.')[2]}' object is not callable":
                error = not_a_function(name, type_name)
        outcome = outcome_of(error)
        record = CheckResult(
            id=check.id,
            task=check.task,
            outcome=outcome,
            points=check.points,
            score=None
            if outcome is Outcome.ENGINE_ERROR
            else (check.points if outcome is Outcome.PASSED else 0.0),
            seed=seed,
            wall_s=took_s,
            measured=tuple(calibrated.measured),
        )
        if error is None:
            return record
        unanswered = isinstance(error, StudentError) and error.type_name == "NotImplementedError"
        believed = fresh or unanswered or isinstance(error, (NotDefined, SandboxTimeout))
        if not (believed or run.copies.as_new(branch)):
            return None
        if outcome is Outcome.ENGINE_ERROR:
            _log.error("check %s of %s failed in the engine", check.id, suite.assignment, exc_info=error)
        explanation = explain(error, student, draw)
        mistake = None
        if outcome in (Outcome.FAILED, Outcome.ERROR) and student is not None:
            mistake, explanation = self._recognise(suite, check.task, student, error, explanation)
        return replace(record, explanation=printable(explanation), mistake=mistake)

    def _recognise(
        self, suite: Suite, task: str, student: Student, error: BaseException, explanation: Explanation
    ) -> tuple[str | None, Explanation]:
        try:
            found = recognise(
                suite.mistakes, task, student.calls, observations(), error, reference=suite.reference
            )
        except Exception:  # a twin that trips over this student's inputs must not cost the verdict
            _log.exception("mistakes of %s could not be compared", task)
            return None, explanation
        if found is None:
            return (error.mistake if isinstance(error, CheckFailed) else None), explanation
        fields = error.fields if isinstance(error, CheckFailed) else {}
        return found.id, found.lead(explanation, fields)
