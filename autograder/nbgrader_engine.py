"""The judge behind nbgrader's own commands: started once in a process, kept warm, ended with it.

``nbgrader autograde`` and formgrader's button convert one notebook after the other. The first notebook of a
submission has all of them graded, so that seeds, files and results are those of ``autograder grade``. A
formgrader server lives for days: the judge is started anew when anything that decides scores has changed,
and ended when nobody has asked for a while.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from autograder.errors import AutograderError, SandboxUnavailable
from autograder.keys import Conditions, Keys
from autograder.layout import Course
from autograder.models import NotebookResult, Outcome, SubmissionResult
from autograder.schedule import Job, Pool, Setup

__all__ = ["Engine", "engine"]

IDLE_S: Final = 300.0
"""After which the judge and its memory are given back."""
_RETRY_S: Final = 20.0
"""How long a start that failed speaks for the next submissions of the same batch."""


@dataclass(slots=True)
class _Open:
    """Notebooks of one submission that were graded and not yet asked for."""

    key: Mapping[str, str]
    results: dict[str, NotebookResult]


class Engine:
    """One pool of one judge, for one assignment at a time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pool: Pool | None = None
        self._made_for: object = None
        self._failure: tuple[object, AutograderError, float] | None = None
        self._open: dict[tuple[Path, str, str], _Open] = {}
        self._timer: threading.Timer | None = None

    def notebook(
        self, course: Course, conditions: Conditions, student: str, assignment: str, name: str, folder: Path
    ) -> NotebookResult:
        """The result of notebook ``name`` of the submission in ``folder``.

        :raises AutograderError: the submission has no result, and it is not the student's fault.
        """
        with self._lock:
            place = (course.root, student, assignment)
            key = Keys(course, conditions).of(assignment, folder)
            known = self._open.get(place)
            if known is None or known.key != key or name not in known.results:
                result = self._grade(course, conditions, key, Job(student, assignment, folder))
                known = _Open(key, {notebook.name: notebook for notebook in result.notebooks})
                self._open = {place: known}
            return known.results.pop(name)

    def close(self) -> None:
        """End the judge, its zygote and every sandbox."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._pool is not None:
                self._pool.__exit__()
            self._pool, self._timer, self._open = None, None, {}

    def _grade(
        self, course: Course, conditions: Conditions, key: Mapping[str, str], job: Job
    ) -> SubmissionResult:
        if self._timer is not None:
            self._timer.cancel()
        shared = {name: part for name, part in key.items() if name not in ("notebook", "files")}
        wanted = (course, job.assignment, tuple(shared.items()))
        try:
            result = self._ask(wanted, course, conditions, job)
            if result.outcome is Outcome.ENGINE_ERROR and self._pool is not None and not self._pool.alive:
                result = self._ask(wanted, course, conditions, job)  # it ended under this one: once more
        finally:
            self._timer = threading.Timer(IDLE_S, self.close)
            self._timer.daemon = True
            self._timer.start()
        return result

    def _ask(self, wanted: object, course: Course, conditions: Conditions, job: Job) -> SubmissionResult:
        if self._failure is not None:
            what, error, when = self._failure
            if what == wanted and time.monotonic() - when < _RETRY_S:
                raise error
            self._failure = None
        if self._pool is None or self._made_for != wanted or not self._pool.alive:
            self._restart(wanted, course, conditions, job.assignment)
        assert self._pool is not None
        try:
            (result,) = self._pool.map([job])
        except AutograderError as error:
            self._failure = (wanted, error, time.monotonic())
            self._end_pool()
            raise
        if not isinstance(result, SubmissionResult):
            raise SandboxUnavailable("the judge gave no result; run the command again")
        return result

    def _restart(self, wanted: object, course: Course, conditions: Conditions, assignment: str) -> None:
        self._end_pool()
        setup = Setup(
            course,
            (assignment,),
            conditions.limits,
            conditions.device,
            conditions.sandbox,
            conditions.secret,
            data=conditions.data,
        )
        with _without_main():
            self._pool, self._made_for = Pool(setup, 1), wanted

    def _end_pool(self) -> None:
        if self._pool is not None:
            self._pool.__exit__()
            self._pool = None


@contextmanager
def _without_main() -> Iterator[None]:
    """A new process runs the main script once more, for what it may define there; the judge needs nothing of
    it, and a script that calls ``NbGraderAPI().autograde(…)`` at its top level would do so again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


engine: Final = Engine()
"""The one of this process."""
atexit.register(engine.close)  # before multiprocessing's own handler, which would wait for the judge
