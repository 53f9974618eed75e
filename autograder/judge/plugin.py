"""pytest in the judge: the fixtures of suites, and what one run of a check gave.

This plugin is passed to pytest by :mod:`autograder.judge.session`. It never prints: the exception of a
check is kept as it is, and pytest's own failure texts, which would show expected values, are not built.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from autograder.datasets import DataSets
from autograder.errors import SuiteError
from autograder.judge.calibrated import Calibrator
from autograder.judge.draw import Draw
from autograder.judge.student import Student, StudentError

__all__ = ["Context", "JudgePlugin", "active"]

_SPECIAL_MARKS = ("filterwarnings", "skip", "skipif", "usefixtures", "xfail")
"""Marks that pytest's own protocol acts on."""


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
        self._plain: dict[pytest.Item, tuple[str, ...] | None] = {}

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
            if call.when != "call":
                self._error = _around(self._error, call.when, item)
        outcome: Any = "passed" if call.excinfo is None else "failed"
        when: Any = call.when
        return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, when)

    def run(self, item: pytest.Item, context: Context) -> tuple[BaseException | None, float]:
        """Run one check; its exception or None, and the wall time in seconds.

        A check that asks for nothing but the fixtures below is called as it is: pytest's protocol (three
        phases with their hooks, set-up and tear-down of package and module) takes longer than many checks do.
        """
        global _active
        _active, self._error = context, None
        names = self._plain_arguments(item)
        started = time.perf_counter()
        try:
            if names is None:
                from _pytest.runner import runtestprotocol

                runtestprotocol(item, log=False, nextitem=None)
            else:
                self._call(item, names, context)
        finally:
            _active = None
        return self._error, time.perf_counter() - started

    def _call(self, item: pytest.Item, names: tuple[str, ...], context: Context) -> None:
        assert isinstance(item, pytest.Function)
        try:
            try:
                arguments = {name: _FIXTURES[name](context) for name in names}
            except AssertionError as error:
                self._error = _around(error, "setup", item)
                return
            item.obj(**arguments)
        except (KeyboardInterrupt, pytest.exit.Exception):  # as in pytest: these end the session
            raise
        except BaseException as error:  # also what pytest.skip and pytest.fail raise
            self._error = error

    def _plain_arguments(self, item: pytest.Item) -> tuple[str, ...] | None:
        """The arguments of a check that needs nothing from pytest but this plugin's fixtures; None for any
        other."""
        if item not in self._plain:
            self._plain[item] = self._arguments_if_plain(item)
        return self._plain[item]

    def _arguments_if_plain(self, item: pytest.Item) -> tuple[str, ...] | None:
        if type(item) is not pytest.Function or hasattr(item, "callspec"):
            return None
        if any(item.get_closest_marker(name) for name in _SPECIAL_MARKS):
            return None
        if inspect.iscoroutinefunction(item.obj) or inspect.isgeneratorfunction(item.obj):
            return None
        known = item._fixtureinfo
        # The closure also names fixtures with autouse, and those behind setup_module and the like.
        for name in known.names_closure:
            definitions = known.name2fixturedefs.get(name, ())
            ours = [getattr(definition.func, "__self__", None) is self for definition in definitions]
            if name not in _FIXTURES or ours != [True]:
                return None
        return tuple(known.argnames)

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


_FIXTURES: Final[dict[str, Callable[[Context], Any]]] = {
    "calibrated": lambda context: context.calibrated,
    "data": lambda context: context.data,
    "device": lambda context: context.device,
    "draw": lambda context: context.draw,
    "student": opened,
}


def _around(error: BaseException, when: str, item: pytest.Item) -> BaseException:
    """What an error outside of a check's body is.

    Only the body judges the student; an assertion around it is a fault of ours. But the sandbox may be broken
    from the start: where it cannot even be seeded, that is the student's doing.
    """
    if isinstance(error, AssertionError) and type(error) is not StudentError:
        return SuiteError(f"{when} of {item.nodeid} failed: {error}")
    return error


def add_marks(config: pytest.Config) -> None:
    """Declare ``points`` and ``limit`` for ``--strict-markers``."""
    config.addinivalue_line("markers", "points(task, n): the task a check belongs to and what it is worth")
    config.addinivalue_line(
        "markers", "limit(wall_s): wall time of one check in seconds, instead of the default"
    )
