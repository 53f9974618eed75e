"""Checks that need nothing of pytest are called directly; all else that a suite may use works as ever."""

from __future__ import annotations

import pytest

from autograder.judge.calibrated import Calibrator
from autograder.judge.draw import Draw
from autograder.judge.failure import CheckFailed
from autograder.judge.plugin import Context
from autograder.judge.session import with_judge
from autograder.thresholds import Thresholds

SUITE = """
import pytest
from autograder import points
from autograder.checks import fail
from autograder.judge.remote import StudentError

SEEN = []

@pytest.fixture
def four(draw):
    SEEN.append("set up")
    yield 4
    SEEN.append("torn down")

@points("t", 1)
def test_plain(draw, device, data, calibrated):
    assert (device, draw is not None, data is not None, calibrated is not None) == ("cpu", True, True, True)

@points("t", 1)
def test_plain_that_fails(student):
    fail("wrong")

@points("t", 1)
def test_fixture_of_the_suite(four):
    assert (four, SEEN) == (4, ["set up"])

@points("t", 1)
def test_after_it():
    assert SEEN == ["set up", "torn down"]

@points("t", 1)
@pytest.mark.parametrize("n", [1])
def test_parametrized(n):
    assert n == 1

@points("t", 1)
@pytest.mark.skip(reason="not today")
def test_skipped():
    raise AssertionError("never runs")

@points("t", 1)
@pytest.mark.xfail(strict=True)
def test_skips_in_its_body():
    pytest.skip("not here")
"""

AUTOUSE = """
import pytest
from autograder import points

STATE = {}

@pytest.fixture(autouse=True)
def before():
    STATE["set up"] = True

@points("t", 1)
def test_needs_it():
    assert STATE
"""

OWN_STUDENT = """
import pytest
from autograder import points

@pytest.fixture
def student():
    return "the suite's own"

@points("t", 1)
def test_own(student):
    assert student == "the suite's own"
"""


def ran(folder, source):
    """What became of each check of a suite, by name: "direct" or "pytest", and the error."""
    suite = folder / f"suite_{len(source)}"  # a name of its own: suites are imported once in a process
    suite.mkdir()
    (suite / "__init__.py").touch()
    (suite / "test_it.py").write_text(source)
    found = {}

    def serve(judge):
        plugin = judge._plugin
        for check in judge.suites[suite.name].checks["t"]:
            draw = Draw(1)
            context = Context(
                draw=draw,
                device="cpu",
                open_student=lambda: "a student",
                calibrated=Calibrator(Thresholds(), check.id, draw, judge.data, "cpu"),
            )
            way = "pytest" if plugin._plain_arguments(check.item) is None else "direct"
            error, took_s = plugin.run(check.item, context)
            assert took_s >= 0
            found[check.id] = (way, type(error))

    with_judge({suite.name: suite}, serve)
    return found


def test_only_checks_that_need_nothing_of_pytest_are_called_directly(tmp_path):
    assert ran(tmp_path, SUITE) == {
        "test_plain": ("direct", type(None)),
        "test_plain_that_fails": ("direct", CheckFailed),
        "test_fixture_of_the_suite": ("pytest", type(None)),
        "test_after_it": ("direct", type(None)),
        "test_parametrized[1]": ("pytest", type(None)),
        "test_skipped": ("pytest", pytest.skip.Exception),
        "test_skips_in_its_body": ("pytest", pytest.skip.Exception),
    }


@pytest.mark.parametrize("source", [AUTOUSE, OWN_STUDENT], ids=["autouse", "a fixture of the same name"])
def test_fixtures_that_change_a_check_are_not_passed_over(tmp_path, source):
    assert set(ran(tmp_path, source).values()) == {("pytest", type(None))}
