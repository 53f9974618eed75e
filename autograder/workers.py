"""The judge's processes: one that imports everything once, and the workers that it forks.

:mod:`autograder.schedule` starts the first and talks to the workers over pipes.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, TypeAlias

from autograder.affinity import one_processor
from autograder.beside import of_assignment
from autograder.errors import AutograderError
from autograder.jobs import FileJob, Job, Setup, lost
from autograder.models import NotebookResult, SubmissionResult
from autograder.released import given_cells, load_notebooks
from autograder.seeds import Seeds, secret_of

if TYPE_CHECKING:
    from autograder.grading import Grader
    from autograder.notebook import AssignmentNotebook

Notebooks: TypeAlias = "dict[str, tuple[AssignmentNotebook, ...]]"
"""The instructor's notebooks by assignment."""

__all__ = ["Notebooks", "die_with_parent", "master", "prepare", "serve"]

_log = logging.getLogger(__name__)


def master(setup: Setup, connections: list[Connection], parent: int) -> None:
    """Import once, fork a worker for each connection, end with them."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to answer
    os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")})
    try:
        prepare(setup, lambda grader, notebooks: _fork_workers(setup, grader, notebooks, connections))
    except BaseException as error:  # whatever it is, the caller is told; nobody else could
        shown = (
            error
            if isinstance(error, AutograderError)
            else AutograderError(f"{type(error).__name__}: {error}")
        )
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(("error", shown))


def prepare(setup: Setup, use: Callable[[Grader, Notebooks], None]) -> None:
    """Import everything, start the zygote, and call ``use`` with what grades, and the instructor's notebooks.

    :raises AutograderError: a suite or a notebook is wrong, or there can be no sandbox.
    """
    gc.disable()  # while it imports: what it makes now stays
    from autograder import datasets
    from autograder.sandbox.launch import Zygote
    from autograder.sandbox.warmup import parts_of

    hide = [setup.course.root, *([setup.course.suites] if setup.course.suites else [])]
    sources = [path for name in setup.assignments for path in setup.course.source_notebooks(name)]
    files = [path.read_bytes() for path in sources]
    data = datasets.load_all(datasets.wanted(files), setup.data)
    probes = [setup.course.suite_dir(name) / "probes.py" for name in setup.assignments]
    beside = [path.read_bytes() for path in probes if path.is_file()]
    starting = Zygote.launch(
        sandbox=setup.sandbox,
        device=setup.device,
        hide=hide,
        parts=parts_of(files + beside),
        data=data,
        cells=given_cells(files),
    )
    try:
        import torch

        torch.set_num_threads(1)
        from autograder.judge.session import Judge, with_judge

        folders = {name: setup.course.suite_dir(name) for name in setup.assignments}

        def with_suites(judge: Judge) -> None:
            gc.enable()
            from autograder.grading import Grader

            # gradcheck imports sympy on first use: half a second, here once and not in each worker.
            torch.autograd.gradcheck(torch.sin, torch.ones(1, dtype=torch.float64, requires_grad=True))
            zygote = starting.ready()
            grader = Grader(zygote, judge, setup.limits, device=setup.device, execution=setup.execution)
            grader.until_failure, grader.measuring = setup.until_failure, setup.measuring
            notebooks = {}
            grader.beside = {
                name: of_assignment(setup.course.source_dir(name), setup.limits) for name in setup.assignments
            }
            for name in setup.assignments:
                suite = judge.suites.get(name)
                tasks = suite.tasks if suite else frozenset()
                notebooks[name] = load_notebooks(setup.course, name, tasks)
                grader.validate(name, notebooks[name])
            use(grader, notebooks)

        with_judge({name: folder for name, folder in folders.items() if folder.is_dir()}, with_suites, data)
    finally:
        gc.enable()
        starting.close()


def _fork_workers(
    setup: Setup,
    grader: Grader,
    notebooks: Notebooks,
    connections: list[Connection],
) -> None:
    me = os.getpid()
    children = []
    for connection in connections:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                die_with_parent(me)
                for other in connections:
                    if other is not connection:
                        other.close()
                _work(setup, grader, notebooks, connection)
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
    notebooks: Notebooks,
    connection: Connection,
) -> None:
    try:
        serve(setup, grader, notebooks, connection)
    finally:
        grader.zygote.forget()


def serve(
    setup: Setup,
    grader: Grader,
    notebooks: Notebooks,
    connection: Connection,
) -> None:
    """Grade what comes, until the caller closes the pipe."""
    connection.send(("ready", None))
    while True:
        job = connection.recv()
        seeds = Seeds(setup.secret, job.student if isinstance(job, Job) else "")
        # With CUDA the driver's own threads work beside the judge.
        place = one_processor() if setup.device == "cpu" else contextlib.nullcontext()
        try:
            with place:
                if isinstance(job, Job):
                    result: Any = _submission(grader, job, notebooks[job.assignment], seeds)
                else:
                    result = (job, _file(grader, job, notebooks[job.assignment], seeds))
        except Exception as error:  # whatever it is, it is ours, and costs this submission only
            _log.exception("%s could not be graded", job.path)
            result = lost(job, f"the judge failed ({type(error).__name__}: {error})")
        connection.send(("result", result))


def _submission(
    grader: Grader, job: Job, notebooks: tuple[AssignmentNotebook, ...], seeds: Seeds
) -> SubmissionResult:
    grader = grader.for_submission(job.assignment, job.path, carry=len(notebooks) > 1)
    results = tuple(
        grader.grade_file(job.assignment, notebook, job.path / f"{notebook.name}.ipynb", seeds)
        for notebook in notebooks
    )
    return SubmissionResult(job.assignment, job.student, results)


def _file(
    grader: Grader, job: FileJob, notebooks: tuple[AssignmentNotebook, ...], seeds: Seeds
) -> NotebookResult:
    # With several notebooks in the assignment the file's name says which one it is.
    notebook = next((notebook for notebook in notebooks if notebook.name == job.path.stem), notebooks[0])
    if job.seed is not None:
        seeds = replace(seeds, secret=secret_of(job.seed))
    if job.limits is not None:
        grader = grader.limited(job.limits)
    result = grader.grade_file(job.assignment, notebook, job.path, seeds, job.only)
    return replace(result, name=job.path.stem)


def die_with_parent(parent: int) -> None:
    """Let the kernel end this process when ``parent``, which must have started it, ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)
