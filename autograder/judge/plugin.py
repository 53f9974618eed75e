"""pytest in the judge: the fixtures of suites, and what one run of a check gave.

This plugin is passed to pytest by :mod:`autograder.judge.session`. It never prints: the exception of a
check is kept as it is, and pytest's own failure texts, which would show expected values, are not built.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from autograder.datasets import DataSets
from autograder.errors import SuiteError
from autograder.judge.calibrated import Calibrator
from autograder.judge.draw import Draw
from autograder.judge.student import Student, StudentError

__all__ = ["Context", "JudgePlugin", "active"]


@dataclass
class Context:
    """What the fixtures of the running check give. ``open_student`` is called at most once."""

    draw: Draw
    device: str
    open_student: Callable[[], Student]
    calibrated: Calibrator
    data: DataSets = field(default_factory=DataSets)
    student: Student | None = None


_active: Context | None = None


def active() -> Context:
    """The running check's context.

    :raises SuiteError: no check is running.
    """
    if _active is None:
        raise SuiteError("student, draw, data, device and calibrated exist only while a submission is graded")
    return _active


class JudgePlugin:
    """Collects suites once, hands control to ``serve`` with the items, and runs single items on demand."""

    def __init__(self, serve: Callable[[list[pytest.Item]], None]) -> None:
        self._serve = serve
        self._error: BaseException | None = None
        self.collection_errors: list[str] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the marks that suites use."""
        add_marks(config)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember what could not be collected: an import error in a suite is an engine error."""
        if report.failed:
            self.collection_errors.append(f"{report.nodeid}: {report.longreprtext[-2000:]}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Everything happens in here: pytest stays warm while submissions come and go."""
        self._serve(list(session.items))
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Keep the exception of the item and skip pytest's rendering of it."""
        if call.excinfo is not None and self._error is None:
            self._error = call.excinfo.value
            if (
                call.when != "call"
                and type(self._error) is not StudentError
                and isinstance(self._error, AssertionError)
            ):
                # Only the body of a check judges the student; an assertion around it is a fault of ours. But
                # the sandbox may be broken from the start: where it cannot even be seeded, that is the
                # student's doing.
                self._error = SuiteError(f"{call.when} of {item.nodeid} failed: {self._error}")
        outcome: Any = "passed" if call.excinfo is None else "failed"
        when: Any = call.when
        return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, when)

    def run(self, item: pytest.Item, context: Context) -> tuple[BaseException | None, float]:
        """Run one check; its exception or None, and the wall time in seconds."""
        global _active
        from _pytest.runner import runtestprotocol

        _active, self._error = context, None
        started = time.perf_counter()
        try:
            runtestprotocol(item, log=False, nextitem=None)
        finally:
            _active = None
        return self._error, time.perf_counter() - started

    @pytest.fixture
    def student(self) -> Student:
        """The student's notebook, in a sandbox."""
        return opened(active())

    @pytest.fixture
    def draw(self) -> Draw:
        """Hidden inputs, seeded for this student and check."""
        return active().draw

    @pytest.fixture
    def device(self) -> str:
        """The device of this run: "cpu", "cuda" or "mps"."""
        return active().device

    @pytest.fixture
    def data(self) -> DataSets:
        """The data sets of this run, with the rows that no sandbox ever held."""
        return active().data

    @pytest.fixture
    def calibrated(self) -> Calibrator:
        """The suite's thresholds: ``calibrated(name).check(run, …)``."""
        return active().calibrated


def opened(context: Context) -> Student:
    """The context's student, opened on first use."""
    if context.student is None:
        context.student = context.open_student()
    return context.student


def add_marks(config: pytest.Config) -> None:
    """Declare ``points`` and ``limit`` for ``--strict-markers``."""
    config.addinivalue_line("markers", "points(task, n): the task a check belongs to and what it is worth")
    config.addinivalue_line(
        "markers", "limit(wall_s): wall time of one check in seconds, instead of the default"
    )
