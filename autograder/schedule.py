"""Many submissions over several judge processes and one zygote.

The calling process stays light: it imports neither torch nor pytest, hands out jobs and yields results as
they come. One spawned process imports the suites, starts the zygote and forks the judge workers, so that
the seconds of importing are paid once. A worker that dies costs its submission an engine error, never the
batch; when the caller dies, all end.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from autograder.devices import device_of
from autograder.errors import AutograderError, SandboxUnavailable
from autograder.layout import Course
from autograder.limits import Limits
from autograder.models import NotebookResult, Outcome, SubmissionResult

if TYPE_CHECKING:
    from autograder.grading import Grader
    from autograder.notebook import AssignmentNotebook

__all__ = ["Checker", "FileJob", "Job", "Pool", "Setup", "check_files", "device_of", "grade_submissions"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One submission: ``path`` is its folder."""

    student: str
    assignment: str
    path: Path


@dataclass(frozen=True, slots=True)
class FileJob:
    """One notebook file outside any gradebook. ``seed`` is that of the hidden inputs, None the pool's;
    with ``only`` nothing but these tasks is judged; ``limits`` are used instead of the pool's."""

    assignment: str
    path: Path
    seed: int | None = None
    only: frozenset[str] | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """What a pool is for. ``until_failure``, ``measuring``: see :class:`autograder.judge.session.TaskRun`."""

    course: Course
    assignments: tuple[str, ...]
    limits: Limits
    device: str
    sandbox: bool
    secret: bytes
    execution: str = "autograde"
    data: str = "auto"
    until_failure: bool = False
    measuring: bool = False


def grade_submissions(
    course: Course,
    jobs: Sequence[Job],
    *,
    workers: int,
    limits: Limits,
    secret: bytes,
    device: str = "cpu",
    sandbox: bool = True,
    data: str = "auto",
) -> Iterator[SubmissionResult]:
    """Grade ``jobs`` with ``workers`` judge processes; results come in the order in which they are done.

    ``secret`` seeds the hidden inputs together with the student's id; ``data`` is which data sets to use,
    one of :data:`autograder.datasets.CHOICES`.

    :raises SandboxUnavailable: this machine cannot build a sandbox.
    :raises SuiteError | UsageError: a suite or a source notebook is wrong.
    """
    names = tuple(sorted({job.assignment for job in jobs}))
    setup = Setup(course, names, limits, device_of(device), sandbox, secret, data=data)
    yield from _run(setup, list(jobs), workers)


def check_files(
    course: Course,
    assignment: str,
    paths: Sequence[Path],
    *,
    limits: Limits,
    seed: int | None = None,
    device: str = "cpu",
    sandbox: bool = True,
    workers: int = 1,
    execution: str = "autograde",
    data: str = "auto",
) -> Iterator[NotebookResult]:
    """Grade notebook files without a gradebook, in the order of ``paths``. ``seed`` (default 0) seeds the
    hidden inputs."""
    setup = Setup(
        course, (assignment,), limits, device_of(device), sandbox, _secret(seed or 0), execution, data
    )
    done: dict[Path, NotebookResult] = {}
    order = deque(paths)
    for result in _run(setup, [FileJob(assignment, path) for path in dict.fromkeys(paths)], workers):
        job, notebook = result
        done[job.path] = notebook
        while order and order[0] in done:
            yield done[order.popleft()]


class Checker:
    """Grades single notebook files of several assignments with one warm pool. A context manager; call it.

    ``execution`` is what notebooks find in ``NBGRADER_EXECUTION``, ``data`` which data sets to use.
    :meth:`map` gives several files to its ``workers``.
    """

    def __init__(
        self,
        course: Course,
        assignments: Sequence[str],
        *,
        limits: Limits,
        execution: str = "autograde",
        data: str = "auto",
        workers: int = 1,
    ) -> None:
        setup = Setup(course, tuple(assignments), limits, "cpu", True, _secret(0), execution, data)
        self._pool = Pool(setup, workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.__exit__(*exception)

    def __call__(self, assignment: str, path: Path) -> NotebookResult:
        """The result of the notebook at ``path`` as a submission to ``assignment``."""
        ((_, result),) = self.map([FileJob(assignment, path)])
        return result

    def map(self, jobs: Sequence[FileJob]) -> Iterator[tuple[FileJob, NotebookResult]]:
        """Each job with its result, as they are done."""
        yield from self._pool.map(jobs)


class Pool:
    """Judge workers behind pipes. Use it as a context manager and ask :meth:`map`."""

    def __init__(self, setup: Setup, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe() for _ in range(max(1, workers))]
        self._connections = [ours for ours, _ in pairs]
        theirs = [end for _, end in pairs]
        self._master = context.Process(
            target=_master, args=(setup, theirs, os.getpid()), name="autograder-judge"
        )
        self._master.start()
        for end in theirs:
            end.close()
        self._idle: set[Connection] = set()
        self._error: BaseException | None = None
        self._alive = set(self._connections)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()
        self._master.join(5.0)
        if self._master.is_alive():
            self._master.kill()
            self._master.join()

    def map(self, jobs: Sequence[Any]) -> Iterator[Any]:
        """Results of ``jobs``, as they are done."""
        waiting: deque[Any] = deque(jobs)
        running: dict[Connection, Any] = {}
        idle, alive = self._idle, self._alive
        while waiting or running:
            for connection in list(idle):
                if waiting:
                    idle.discard(connection)
                    running[connection] = waiting.popleft()
                    connection.send(running[connection])
            if not alive:
                raise self._error or SandboxUnavailable(
                    "all judge processes ended unexpectedly; run the command again with --debug"
                )
            for connection in cast("list[Connection]", wait(list(alive))):
                try:
                    kind, value = connection.recv()
                except (EOFError, OSError):
                    alive.discard(connection)
                    idle.discard(connection)
                    if connection in running:
                        yield _lost(running.pop(connection))
                    continue
                if kind == "error":
                    self._error = value  # what a later call meets too
                    raise value
                running.pop(connection, None)
                idle.add(connection)
                if kind == "result":
                    yield value


def _run(setup: Setup, jobs: Sequence[Any], workers: int) -> Iterator[Any]:
    if jobs:
        with Pool(setup, min(workers, len(jobs))) as pool:
            yield from pool.map(jobs)


def _lost(job: Job | FileJob, why: str = "the judge process ended") -> Any:
    result = NotebookResult(
        assignment=job.assignment,
        name=job.path.stem,
        score=None,
        max_score=0.0,
        needs_manual_grade=False,
        outcome=Outcome.ENGINE_ERROR,
        tasks=(),
        message=f"This submission was not graded: {why}. Nothing was decided; grade it again.",
    )
    return SubmissionResult(job.assignment, job.student, (result,)) if isinstance(job, Job) else (job, result)


# -- in the judge's processes


def _master(setup: Setup, connections: list[Connection], parent: int) -> None:
    """Import once, fork a worker for each connection, end with them."""
    _die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to answer
    os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")})
    try:
        _prepare(setup, connections)
    except BaseException as error:
        shown = (
            error
            if isinstance(error, AutograderError)
            else AutograderError(f"{type(error).__name__}: {error}")
        )
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(("error", shown))


def _prepare(setup: Setup, connections: list[Connection]) -> None:
    from autograder import datasets
    from autograder.sandbox.launch import Zygote
    from autograder.sandbox.warmup import parts_of

    hide = [setup.course.root, *([setup.course.suites] if setup.course.suites else [])]
    sources = [path for name in setup.assignments for path in setup.course.source_notebooks(name)]
    files = [path.read_bytes() for path in sources]
    data = datasets.load_all(datasets.wanted(files), setup.data)
    starting = Zygote.launch(
        sandbox=setup.sandbox, device=setup.device, hide=hide, parts=parts_of(files), data=data
    )
    try:
        import torch

        torch.set_num_threads(1)
        from autograder.judge.session import Judge, with_judge

        folders = {name: setup.course.suite_dir(name) for name in setup.assignments}

        def serve(judge: Judge) -> None:
            from autograder.grading import Grader
            from autograder.notebook import load_assignment

            # gradcheck imports sympy on first use: half a second, here once and not in each worker.
            torch.autograd.gradcheck(torch.sin, torch.ones(1, dtype=torch.float64, requires_grad=True))
            zygote = starting.ready()
            grader = Grader(zygote, judge, setup.limits, device=setup.device, execution=setup.execution)
            grader.until_failure, grader.measuring = setup.until_failure, setup.measuring
            notebooks = {}
            for name in setup.assignments:
                suite = judge.suites.get(name)
                tasks = suite.tasks if suite else frozenset()
                notebooks[name] = tuple(
                    load_assignment(path, tasks) for path in setup.course.source_notebooks(name)
                )
                grader.validate(name, notebooks[name])
            _fork_workers(setup, grader, notebooks, connections)

        with_judge({name: folder for name, folder in folders.items() if folder.is_dir()}, serve, data)
    finally:
        starting.close()


def _fork_workers(
    setup: Setup,
    grader: Grader,
    notebooks: dict[str, tuple[AssignmentNotebook, ...]],
    connections: list[Connection],
) -> None:
    me = os.getpid()
    children = []
    for connection in connections:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _die_with_parent(me)
                for other in connections:
                    if other is not connection:
                        other.close()
                _work(setup, grader, notebooks, connection)
                grader.zygote.forget()
                code = 0
            except (EOFError, OSError):
                code = 0  # the caller closed the pipe
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(pid)
    for connection in connections:
        connection.close()
    for pid in children:
        os.waitpid(pid, 0)


def _work(
    setup: Setup,
    grader: Grader,
    notebooks: dict[str, tuple[AssignmentNotebook, ...]],
    connection: Connection,
) -> None:
    from autograder.grading import Seeds

    connection.send(("ready", None))
    while True:
        job = connection.recv()
        seeds = Seeds(setup.secret, job.student if isinstance(job, Job) else "")
        try:
            if isinstance(job, Job):
                result: Any = _submission(grader, job, notebooks[job.assignment], seeds)
            else:
                result = (job, _file(grader, job, notebooks[job.assignment], seeds))
        except Exception as error:  # whatever it is, it is ours, and costs this submission only
            _log.exception("%s could not be graded", job.path)
            result = _lost(job, f"the judge failed ({type(error).__name__}: {error})")
        connection.send(("result", result))


def _submission(
    grader: Grader, job: Job, notebooks: tuple[AssignmentNotebook, ...], seeds: Any
) -> SubmissionResult:
    results = tuple(
        grader.grade_file(job.assignment, notebook, job.path / f"{notebook.name}.ipynb", seeds)
        for notebook in notebooks
    )
    return SubmissionResult(job.assignment, job.student, results)


def _file(
    grader: Grader, job: FileJob, notebooks: tuple[AssignmentNotebook, ...], seeds: Any
) -> NotebookResult:
    # With several notebooks in the assignment the file's name says which one it is.
    notebook = next((notebook for notebook in notebooks if notebook.name == job.path.stem), notebooks[0])
    if job.seed is not None:
        seeds = replace(seeds, secret=_secret(job.seed))
    if job.limits is not None:
        grader = grader.limited(job.limits)
    result = grader.grade_file(job.assignment, notebook, job.path, seeds, job.only)
    return replace(result, name=job.path.stem)


def _secret(seed: int) -> bytes:
    return hashlib.sha256(f"seed {seed}".encode()).digest()


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)
