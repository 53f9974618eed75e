"""Many submissions over several judge processes and one zygote.

The calling process stays light: it imports neither torch nor pytest, hands out jobs and yields results as
they come. One spawned process imports the suites, starts the zygote and forks the judge workers, so that
the seconds of importing are paid once. A worker that dies costs its submission an engine error, never the
batch; when the caller dies, all end.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self, cast

from autograder import resident
from autograder.devices import device_of
from autograder.errors import SandboxUnavailable
from autograder.jobs import FileJob, Job, Setup, lost
from autograder.layout import Course
from autograder.limits import Limits
from autograder.models import NotebookResult, SubmissionResult
from autograder.seeds import secret_of
from autograder.workers import master

__all__ = ["Checker", "FileJob", "Job", "Pool", "Setup", "check_files", "device_of", "grade_submissions"]


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
    """Grade ``jobs`` with ``workers`` judge processes; results come in the order in which they are done. The
    processes start at once, before the first result is asked for.

    ``secret`` seeds the hidden inputs together with the student's id; ``data`` is which data sets to use,
    one of :data:`autograder.datasets.CHOICES`.

    :raises SandboxUnavailable: this machine cannot build a sandbox.
    :raises SuiteError | UsageError: a suite or a source notebook is wrong.
    """
    names = tuple(sorted({job.assignment for job in jobs}))
    setup = Setup(course, names, limits, device_of(device), sandbox, secret, data=data)
    return _run(setup, list(jobs), workers)


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
    hidden inputs. The judges start at once, before the first result is asked for."""
    setup = Setup(
        course, (assignment,), limits, device_of(device), sandbox, secret_of(seed or 0), execution, data
    )
    jobs = [FileJob(assignment, path) for path in dict.fromkeys(paths)]
    return _in_order(_run(setup, jobs, workers), paths)


def _in_order(
    results: Iterator[tuple[FileJob, NotebookResult]], paths: Sequence[Path]
) -> Iterator[NotebookResult]:
    done: dict[Path, NotebookResult] = {}
    order = deque(paths)
    for job, notebook in results:
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
        setup = Setup(course, tuple(assignments), limits, "cpu", True, secret_of(0), execution, data)
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
        self._idle: set[Connection] = set()
        self._error: BaseException | None = None
        self._ready = False
        self._master: BaseProcess | None = None
        self._connections = resident.connect(setup, workers)
        self._waiting_for = set(self._connections)
        """Workers of a warm judge that have not said yet that they are there: they can be given a job."""
        if not self._connections:
            self._start(setup, workers)
        self._alive = set(self._connections)

    def _start(self, setup: Setup, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe() for _ in range(max(1, workers))]
        self._connections = [ours for ours, _ in pairs]
        theirs = [end for _, end in pairs]
        # "daemon": where an error keeps anybody from closing this, the interpreter ends it at its own end.
        self._master = context.Process(
            target=master, args=(setup, theirs, os.getpid()), name="autograder-judge", daemon=True
        )
        self._master.start()
        for end in theirs:
            end.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()
        if self._master is None:
            return
        if not self._ready:  # it is still importing, and nobody waits for what it would grade
            self._master.kill()
        self._master.join(5.0)
        if self._master.is_alive():
            self._master.kill()
            self._master.join()

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return bool(self._alive) and (self._master is None or self._master.is_alive())

    def map(self, jobs: Sequence[Any]) -> Iterator[Any]:
        """Results of ``jobs``, as they are done. Workers that are free begin at once."""
        waiting: deque[Any] = deque(jobs)
        running: dict[Connection, Any] = {}
        self._hand_out(self._waiting_for, waiting, running)
        self._hand_out(self._idle, waiting, running)
        return self._collect(waiting, running)

    @staticmethod
    def _hand_out(free: set[Connection], waiting: deque[Any], running: dict[Connection, Any]) -> None:
        for connection in list(free):
            if waiting and connection not in running:
                free.discard(connection)
                running[connection] = waiting.popleft()
                with contextlib.suppress(OSError):  # it has ended: the wait for an answer tells
                    connection.send(running[connection])

    def _collect(self, waiting: deque[Any], running: dict[Connection, Any]) -> Iterator[Any]:
        idle, alive = self._idle, self._alive
        while waiting or running:
            self._hand_out(idle, waiting, running)
            if not alive:
                raise self._error or SandboxUnavailable(
                    "all judge processes ended unexpectedly; run the command again with --debug"
                )
            for connection in cast("list[Connection]", wait(list(alive))):
                try:
                    kind, value = connection.recv()
                except (EOFError, OSError):
                    for those in (alive, idle, self._waiting_for):
                        those.discard(connection)
                    if connection in running:
                        yield lost(running.pop(connection))
                    continue
                if kind == "error":
                    self._error = value  # what a later call meets too
                    raise value
                self._ready = True
                if kind == "ready" and connection in running:
                    continue  # it has its job already
                self._waiting_for.discard(connection)
                running.pop(connection, None)
                idle.add(connection)
                if kind == "result":
                    yield value


def _run(setup: Setup, jobs: Sequence[Any], workers: int) -> Iterator[Any]:
    return _Results(Pool(setup, min(workers, len(jobs))), jobs) if jobs else iter(())


class _Results(Iterator[Any]):
    """What a pool of their own gives for ``jobs``. Unlike a generator's, its :meth:`close` ends the pool even
    if nothing has been asked for yet."""

    def __init__(self, pool: Pool, jobs: Sequence[Any]) -> None:
        self._pool: Pool | None = pool
        self._found = pool.map(jobs)

    def __next__(self) -> Any:
        try:
            return next(self._found)
        except BaseException:  # the end, too
            self.close()
            raise

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.__exit__()
