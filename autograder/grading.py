"""One notebook in, one :class:`~autograder.models.NotebookResult` out. No database, no HTML.

The notebook's cells run in order in one sandbox. When execution reaches the test cell of a suite task, the
task's checks are judged in copies of the sandbox, before that cell itself runs: a later cell cannot change
an earlier verdict, and a notebook that dies later keeps what it earned. When a cell ends the sandbox, a
fresh one replays the cells before it, without the one that did it, and grading goes on with the next: it
costs its own task only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.beside import Beside
from autograder.datasets import wanted
from autograder.errors import NotebookError, SandboxError, SandboxUnavailable
from autograder.judge.copies import Copies
from autograder.judge.session import Judge, Suite, TaskRun
from autograder.judge.verdict import engine_error, not_run
from autograder.limits import Limits
from autograder.models import (
    CellResult,
    CheckResult,
    NotebookResult,
    Outcome,
    TaskKind,
    TaskResult,
    TaskSpec,
    worst,
)
from autograder.notebook import (
    AssignmentNotebook,
    PreparedCell,
    PreparedNotebook,
    focused,
    parse,
    prepare,
    read_bytes,
    sha256,
)
from autograder.plain import plain
from autograder.records import (
    cell_death,
    cell_outcome,
    cell_result,
    graded_notebook,
    in_kernel,
    in_kernel_error,
    lost,
    no_checks_run,
    unreadable,
)
from autograder.sandbox.client import Branch, RemoteFailure, Sandbox
from autograder.sandbox.launch import Zygote
from autograder.scoring import notebook_totals, task_result, validate_points
from autograder.seeds import Seeds
from autograder.stages import Stages

__all__ = ["Grader", "Run"]

_SEVERE = (Outcome.TIMEOUT, Outcome.MEMORY, Outcome.HOSTILE)


class Grader:
    """Grades notebooks of any assignment with one zygote and one judge."""

    def __init__(
        self,
        zygote: Zygote,
        judge: Judge,
        limits: Limits,
        *,
        device: str = "cpu",
        execution: str = "autograde",
    ) -> None:
        self.zygote, self.judge, self.limits, self.device = zygote, judge, limits, device
        self.execution = execution
        """What notebooks find in ``NBGRADER_EXECUTION``: they leave out slow pictures on "autograde"."""
        self.beside: Mapping[str, Beside] = {}
        """The files beside the notebooks, by assignment."""
        self.until_failure = False
        self.measuring = False
        """Mutants are graded, or thresholds calibrated: see :class:`~autograder.judge.session.TaskRun`."""

    def limited(self, limits: Limits) -> Grader:
        """The same grader with other limits."""
        other = copy(self)
        other.limits = limits
        return other

    def for_setup(self, limits: Limits, *, execution: str) -> Grader:
        """The same grader for another caller."""
        other = self.limited(limits)
        other.execution = execution
        return other

    def for_submission(self, assignment: str, folder: Path, *, carry: bool) -> Grader:
        """The same grader with the files of the submission in ``folder`` beside its notebooks."""
        other = copy(self)
        shared = self.beside.get(assignment, Beside())
        other.beside = {assignment: shared.with_submission(folder, carry=carry)}
        return other

    def validate(self, assignment: str, notebooks: Sequence[AssignmentNotebook]) -> None:
        """Check that the suite's points are those of the cells.

        :raises SuiteError: they are not.
        """
        suite = self.judge.suites.get(assignment)
        if suite is not None:
            validate_points([task for notebook in notebooks for task in notebook.tasks], suite.points())

    def grade_file(
        self,
        assignment: str,
        notebook: AssignmentNotebook,
        path: Path,
        seeds: Seeds,
        only: frozenset[str] | None = None,
    ) -> NotebookResult:
        """Grade the file at ``path``; an unreadable one gives a result whose ``message`` says why.

        With ``only`` the result holds these tasks and no others.
        """
        try:
            data = read_bytes(path, self.limits)
        except NotebookError as error:
            return unreadable(assignment, notebook, self.judge.suites.get(assignment), str(error))
        return self.grade_bytes(assignment, notebook, data, seeds, only)

    def grade_bytes(
        self,
        assignment: str,
        notebook: AssignmentNotebook,
        data: bytes,
        seeds: Seeds,
        only: frozenset[str] | None = None,
    ) -> NotebookResult:
        """Grade the bytes of a notebook file; ``only`` as for :meth:`grade_file`."""
        suite = self.judge.suites.get(assignment)
        stages, digest = Stages(), sha256(data)
        try:
            with stages("read"):
                prepared = prepare(parse(data, self.limits), notebook)
        except NotebookError as error:
            return unreadable(assignment, notebook, suite, str(error), digest)
        if only is not None:
            prepared = focused(prepared, only)
        run = Run(self, assignment, notebook, suite, prepared, seeds, stages)
        return run.result(digest)


@dataclass
class Run:
    """The state of one notebook's way through the sandbox."""

    grader: Grader
    assignment: str
    notebook: AssignmentNotebook
    suite: Suite | None
    prepared: PreparedNotebook
    seeds: Seeds
    stages: Stages = field(default_factory=Stages)
    checks: dict[str, tuple[CheckResult, ...]] = field(default_factory=dict)
    cells: dict[int, CellResult] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    killers: set[int] = field(default_factory=set)
    missing: tuple[str, ...] = ()
    message: str | None = None

    sandbox: Sandbox | None = None
    restarts: int = 0
    deadline: float = 0.0

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.grader.limits.submission_wall_s
        self.restarts = self.grader.limits.restarts
        self.copies = Copies(self._copy)

    def result(self, digest: str) -> NotebookResult:
        """Grade it."""
        started = time.monotonic()
        try:
            for spec in self.walk():
                self._judge(spec)
            self._carry()
        except SandboxUnavailable as error:
            self._give_up(error)
        finally:
            self.close()
        tasks = tuple(self._task(spec) for spec in self.prepared.tasks)
        score, max_score = notebook_totals(tasks)
        cells = tuple(self.cells[index] for index in sorted(self.cells))
        outcomes = [task.outcome for task in tasks if task.kind is not TaskKind.MANUAL]
        outcomes += [cell.outcome for cell in cells if cell.outcome in _SEVERE or cell.index in self.killers]
        return NotebookResult(
            assignment=self.assignment,
            name=self.notebook.name,
            score=score,
            max_score=max_score,
            needs_manual_grade=any(spec.kind is TaskKind.MANUAL for spec in self.prepared.tasks),
            outcome=worst(outcomes),
            tasks=tasks,
            cells=cells,
            message=self.message,
            notices=(*self.prepared.notices, *self.notices),
            notebook=graded_notebook(self.prepared, self.cells),
            notebook_sha256=digest,
            seed=self.seeds.notebook(self.assignment),
            sandboxed=self.grader.zygote.sandboxed,
            missing_layers=self.missing,
            wall_s=time.monotonic() - started,
            stage_s=dict(self.stages.seconds),
            data=self._data_in_use(),
        )

    def _data_in_use(self) -> dict[str, str]:
        sources = [cell["source"].encode("utf-8", "replace") for cell in self.notebook.nb["cells"]]
        sets = self.grader.judge.data.sets
        return {name: sets[name].kind for name in wanted(sources) if name in sets}

    # -- the way through the cells

    def walk(self) -> Iterator[TaskSpec]:
        """Run the cells in order; stops at each test cell of a suite task, before it runs, for its checks."""
        for cell in self.prepared.cells:
            if cell.cell_type != "code":
                continue
            if time.monotonic() >= self.deadline:
                self._stop(cell, f"the whole submission may take {self.grader.limits.submission_wall_s:g} s")
                return
            if not self._ensure(cell):
                return
            spec = self._spec(cell)
            if spec is not None and spec.kind is TaskKind.SUITE and self.suite is not None:
                yield spec
                if not self._ensure(cell):
                    return
            self._run_cell(cell)

    def _carry(self) -> None:
        """Keep the files that the notebook left, where the next one of the submission shall find them."""
        beside = self.grader.beside.get(self.assignment)
        if beside is not None and beside.carry and self.sandbox is not None and not self.sandbox.dead:
            beside.add(self.sandbox.left_files())

    def close(self) -> None:
        """End the sandbox."""
        if self.sandbox is not None:
            with self.stages("end"):
                self.copies.drop()
                self.sandbox.close()

    def _ensure(self, cell: PreparedCell) -> bool:
        """A living sandbox in the state before ``cell``; False when there will be none."""
        while self.sandbox is None or self.sandbox.dead:
            first = self.sandbox is None
            self.close()
            if not first:
                self.restarts -= 1
            if self.restarts < 0 or time.monotonic() >= self.deadline:
                self._stop(cell, "its cells ended the Python process too often")
                return False
            seed = self.seeds.notebook(self.assignment)
            self.sandbox = self.grader.zygote.spawn(
                self.grader.limits, seed=seed, execution=self.grader.execution
            )
            self.stages.add(self.sandbox.setup_s)
            self.sandbox.deadline = self.deadline
            self.missing = self.sandbox.missing_layers
            if beside := self.grader.beside.get(self.assignment):
                self.sandbox.furnish(beside.files, beside.modules)
            self._replay(cell.index)
        return True

    def _replay(self, before: int) -> None:
        """Run again, unjudged, the cells before ``before`` that did not end their sandbox."""
        assert self.sandbox is not None
        for cell in self.prepared.cells[:before]:
            done = self.cells.get(cell.index)
            if (
                cell.cell_type != "code"
                or done is None
                or cell.index in self.killers
                or done.outcome not in (Outcome.PASSED, Outcome.ERROR, Outcome.OUTPUT_LIMIT)
            ):
                continue
            if self._is_test(cell):
                continue  # judged already; only its output would be new
            left = self.deadline - time.monotonic()
            if left <= 0:
                return
            try:
                self.sandbox.run_cell(
                    cell.source, wall_s=max(0.1, min(self.grader.limits.cell_wall_s, left)), output_bytes=1024
                )
            except SandboxError:
                return  # the loop in _ensure counts it as one more restart

    def _judge(self, spec: TaskSpec) -> None:
        assert self.suite is not None and self.sandbox is not None
        run = TaskRun(
            spec=spec,
            copies=self.copies,
            seed_for=lambda check: self.seeds.check(self.assignment, spec.id, check),
            limits=self.grader.limits,
            device=self.grader.device,
            deadline=self.deadline,
            until_failure=self.grader.until_failure,
            measuring=self.grader.measuring,
        )
        try:
            with self.stages("judge"):
                self.checks[spec.id] = self.grader.judge.judge_task(self.suite, run)
        except SandboxUnavailable:
            raise
        except SandboxError as error:
            # The sandbox itself ended while one of its copies was judged: the task's own code did that.
            why = f"its code ended the sandbox ({error})"
            self.checks[spec.id] = tuple(
                lost(not_run(check, why), error) for check in self.suite.checks[spec.id]
            )
        except Exception as error:
            self.checks[spec.id] = engine_error(self.suite.checks[spec.id], error)

    def _copy(self) -> Branch:
        assert self.sandbox is not None
        with self.stages("copies"):
            return self.sandbox.branch()

    def _run_cell(self, cell: PreparedCell) -> None:
        assert self.sandbox is not None
        limits = self.grader.limits
        left = self.deadline - time.monotonic()
        wall_s = max(0.05, min(limits.cell_wall_s, left))
        reply: Mapping[str, Any] = {}
        spec = self._spec(cell)
        plain_test = spec is not None and spec.kind is TaskKind.IN_KERNEL
        try:
            with self.stages("cells"):
                reply = self.sandbox.run_cell(
                    cell.source,
                    wall_s=wall_s,
                    output_bytes=limits.output_kb << 10,
                    pristine=plain_test,
                    meanwhile=self.copies.drop,  # useless by then, and what is written is copied for it
                )
            outcome, message = cell_outcome(reply, wall_s)
        except RemoteFailure as error:
            outcome, message = Outcome.ERROR, plain(str(error)[:2000])
        except SandboxError as error:
            outcome, message = cell_death(error, wall_s)
            self.sandbox.kill()
            self.sandbox.dead = self.sandbox.dead or error
            self.killers.add(cell.index)
            self.notices.append(f"Cell {cell.index + 1} was left out: {message}")
        self.copies.ran(cell.source, reply)
        self.cells[cell.index] = cell_result(cell, reply, outcome, message)
        if spec is not None and plain_test:
            self.checks[spec.id] = (in_kernel(spec, self.cells[cell.index]),)

    def _stop(self, cell: PreparedCell, why: str) -> None:
        self.message = (
            f"Grading stopped before cell {cell.index + 1}: {why}. The tasks before it keep their points."
        )
        for later in self.prepared.cells[cell.index :]:
            if later.cell_type == "code" and later.index not in self.cells:
                self.cells[later.index] = CellResult(
                    later.index, later.grade_id, Outcome.NOT_RUN, message=f"Not run: {why}."
                )

    def _give_up(self, error: SandboxError) -> None:
        """The machine, not the student, is at fault: what is not judged yet gets no score at all."""
        self.message = (
            f"The grader could not run this notebook: {error} Nothing was decided; it will be graded again."
        )
        for spec in self.prepared.tasks:
            if spec.id not in self.checks and spec.kind is not TaskKind.MANUAL:
                known = self.suite.checks.get(spec.id, ()) if self.suite else ()
                self.checks[spec.id] = engine_error(known, error) or (in_kernel_error(spec, error),)

    # -- pieces of the result

    def _task(self, spec: TaskSpec) -> TaskResult:
        checks = self.checks.get(spec.id)
        if checks is None:
            checks = no_checks_run(spec, self.suite, "the notebook ended before its test cell")
        return task_result(spec, checks)

    def _spec(self, cell: PreparedCell) -> TaskSpec | None:
        return next((spec for spec in self.prepared.tasks if spec.id == cell.task_id), None)

    def _is_test(self, cell: PreparedCell) -> bool:
        spec = self._spec(cell)
        return spec is not None and spec.kind is not TaskKind.MANUAL
