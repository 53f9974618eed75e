"""Points: bounded, in any order, and never 0 for our fault."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograder
from autograder.errors import SuiteError
from autograder.models import CheckResult, Outcome, TaskKind, TaskResult, TaskSpec
from autograder.scoring import check_score, notebook_totals, task_result, validate_points

SPEC = TaskSpec("affine", 3.0, TaskKind.SUITE)


def check(outcome=Outcome.PASSED, points=1.0, score: float | None = None, name="c", task="affine"):
    return CheckResult(name, task, outcome, points, check_score(outcome, points) if score is None else score)


def test_passed_checks_earn_their_points_and_others_nothing():
    checks = [check(points=2.0), check(Outcome.FAILED, 0.5), check(Outcome.TIMEOUT, 0.5)]
    result = task_result(SPEC, checks)
    assert (result.score, result.max_score, result.outcome) == (2.0, 3.0, Outcome.TIMEOUT)
    assert result.checks == tuple(checks)


def test_our_error_gives_no_score_at_all():
    result = task_result(SPEC, [check(points=2.0), check(Outcome.ENGINE_ERROR)])
    assert result.score is None
    assert notebook_totals([result]) == (None, 3.0)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_score_of_a_check_follows_its_outcome(outcome):
    expected = {Outcome.PASSED: 1.5, Outcome.ENGINE_ERROR: None}.get(outcome, 0.0)
    assert check_score(outcome, 1.5) == expected


def test_sums_of_floats_reach_the_maximum():
    spec = TaskSpec("affine", 1.0, TaskKind.SUITE)
    assert task_result(spec, [check(points=0.1) for _ in range(10)]).score == 1.0
    thirds = [check(points=1 / 3) for _ in range(3)]
    assert task_result(spec, thirds).score == 1.0


def test_a_claim_beyond_its_points_is_cut():
    spec = TaskSpec("affine", 3.0, TaskKind.IN_KERNEL)
    for claim, earned in [(1.5, 1.5), (99.0, 3.0), (-4.0, 0.0), (math.nan, 0.0), (math.inf, 3.0)]:
        assert task_result(spec, [check(Outcome.FAILED, 3.0, claim)]).score == earned


def test_a_person_grades_manual_tasks():
    manual = task_result(TaskSpec("why", 1.0, TaskKind.MANUAL), [])
    assert manual.score is None
    suite = task_result(SPEC, [check(points=3.0)])
    assert notebook_totals([suite, manual]) == (3.0, 4.0)


def test_nothing_judged_is_no_zero_but_a_badge_without_checks_is():
    assert task_result(SPEC, []).score is None
    assert task_result(TaskSpec("badge", 0.0, TaskKind.SUITE), []).score == 0.0


def test_an_empty_notebook_has_no_points():
    assert notebook_totals([]) == (0.0, 0.0)


def test_a_check_of_another_task_is_our_fault():
    with pytest.raises(SuiteError, match="belongs to task 'cat'"):
        task_result(SPEC, [check(task="cat")])


CLAIMS = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
CHECKS = st.lists(
    st.builds(
        lambda outcome, points, score: CheckResult("c", "affine", outcome, points, score),
        st.sampled_from(list(Outcome)),
        st.floats(0, 100),
        CLAIMS,
    ),
    max_size=8,
)


@given(checks=CHECKS, maximum=st.floats(0, 50), data=st.data())
def test_scores_are_bounded_finite_and_in_any_order(checks, maximum, data):
    spec = TaskSpec("affine", maximum, TaskKind.SUITE)
    score = task_result(spec, checks).score
    assert score == task_result(spec, data.draw(st.permutations(checks))).score
    if any(one.outcome is Outcome.ENGINE_ERROR for one in checks):
        assert score is None
    elif checks:
        assert score is not None
        assert 0 <= score <= maximum
        assert math.isfinite(score)


TASKS = st.lists(
    st.builds(
        lambda kind, score, maximum: TaskResult("t", kind, min(score, maximum), maximum),
        st.sampled_from(list(TaskKind)),
        st.floats(0, 20),
        st.floats(0, 20),
    ),
    max_size=8,
)


@given(tasks=TASKS, data=st.data())
def test_totals_are_bounded_and_in_any_order(tasks, data):
    score, maximum = notebook_totals(tasks)
    assert (score, maximum) == notebook_totals(data.draw(st.permutations(tasks)))
    assert score is not None
    assert 0 <= score <= maximum


def test_points_of_checks_add_up_to_the_cell():
    tasks = [SPEC, TaskSpec("badge", 0.0, TaskKind.SUITE), TaskSpec("why", 1.0, TaskKind.MANUAL)]
    validate_points(tasks, {"affine": [1.5, 1.2, 0.3]})
    validate_points(tasks, {"affine": [1.5, 1.5], "badge": [0, 0]})


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({"affine": [1, 1]}, "the checks of task 'affine' are worth 2 points, its cell 3"),
        ({}, "task 'affine' is worth 3 points but has no checks"),
        ({"affine": [3], "cat": [1]}, "task 'cat' has checks but no cell"),
        ({"affine": [3], "why": [1]}, "task 'why' has checks but is graded as manual"),
        ({"affine": [4, -1]}, "negative or not finite"),
        ({"affine": [math.nan]}, "negative or not finite"),
    ],
)
def test_points_that_do_not_add_up_are_our_fault(points, message):
    with pytest.raises(SuiteError, match=message):
        validate_points([SPEC, TaskSpec("why", 1.0, TaskKind.MANUAL)], points)


# ---------------------------------------------------------------- the mark


def test_points_marks_a_check(request):
    request.config.addinivalue_line("markers", "points(task, n): a check of a suite")

    @autograder.points("affine", 1.5)
    def check_it():
        pass

    (mark,) = check_it.pytestmark
    assert (mark.name, mark.args) == ("points", ("affine", 1.5))


@pytest.mark.parametrize(
    "args", [("", 1), (lambda: 0, 1), ("a", -1), ("a", math.nan), ("a", True), ("a", "2")]
)
def test_points_that_make_no_sense_are_our_fault(args):
    with pytest.raises(SuiteError):
        autograder.points(*args)


def test_the_package_is_light():
    import subprocess
    import sys

    code = "import sys; from autograder import mistake, points; "
    code += "print(sorted({'torch', 'pytest', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert sorted(autograder.__all__) == autograder.__all__
    with pytest.raises(AttributeError):
        autograder.nothing  # noqa: B018
