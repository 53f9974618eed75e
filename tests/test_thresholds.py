"""Thresholds: their two files, the k-of-n rule, and the fixture that checks use."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace

import numpy as np
import pytest

from autograder.calibration_files import dump
from autograder.datasets import DataSets
from autograder.errors import SuiteError
from autograder.judge import calibrated
from autograder.judge.calibrated import Calibrator
from autograder.judge.draw import Draw
from autograder.judge.failure import CheckFailed
from autograder.models import CheckResult, Outcome
from autograder.thresholds import Calibration, Threshold, Thresholds, Variant, load

FULL = """
[accuracy]
task = "evaluate"
check = "test_accuracy"
about = "accuracy on hidden digits"
better = "higher"
data = "mnist"
runs = 3
need = 2
start = { sample = 0.88, full = 0.95 }
digits = 2
right = ["solution", "odd_1"]
wrong = ["evaluate-no_zero_grad"]

[rmse]
task = "run"
check = "test_rmse"
better = "lower"
runs = 1
need = 1
start = 0.7
"""
ONE = """
[rmse]
task = "run"
check = "test_rmse"
better = "lower"
runs = 1
need = 1
start = 0.7
"""


def threshold(**changes) -> Threshold:
    made = Threshold(
        name="accuracy",
        task="evaluate",
        check="test_accuracy",
        about="accuracy on hidden digits",
        better="higher",
        data=None,
        runs=3,
        need=2,
        start={"": 0.9},
        digits=2,
        scale="share",
        right=None,
        wrong=(),
    )
    return replace(made, **changes)


def stored(declared: Threshold, **changes) -> Calibration:
    made = Calibration(
        threshold=declared.name,
        kind="",
        device="cpu",
        value=0.87,
        false_rejection=0.0004,
        declaration=declared.declaration,
        versions={"torch": "2.13.0", "numpy": "2.4.6"},
        variants=(
            Variant("wrong", False, ((0.5, math.nan), (0.4,)), 1),
            Variant("solution", True, ((0.91, 0.92, 0.93), (0.9, 0.94, 0.95))),
        ),
    )
    return replace(made, **changes)


def written(folder, text, calibrations=None):
    (folder / "thresholds.toml").write_text(text)
    if calibrations is not None:
        (folder / "calibration.json").write_text(calibrations)
    return folder


# ---------------------------------------------------------------- the files


def test_a_declaration_is_read_with_its_defaults(tmp_path):
    found = load(written(tmp_path, FULL))
    accuracy, rmse = found.get("accuracy"), found.get("rmse")
    assert (accuracy.task, accuracy.check, accuracy.data) == ("evaluate", "test_accuracy", "mnist")
    assert (accuracy.start_for("sample"), accuracy.start_for("full")) == (0.88, 0.95)
    assert (accuracy.kinds, rmse.kinds) == (("sample", "full"), ("",))
    assert (accuracy.scale, rmse.scale) == ("share", "positive")
    assert (accuracy.right, rmse.right, rmse.wrong, rmse.digits) == (("solution", "odd_1"), None, (), 2)
    assert rmse.start_for(None) == 0.7


def test_a_suite_without_thresholds_has_none(tmp_path):
    assert load(tmp_path).declared == {}
    with pytest.raises(SuiteError, match=r"no threshold 'accuracy'.*declared are: none"):
        load(tmp_path).get("accuracy")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('task = "run"\n', "", r"\[rmse\] lacks task"),
        ('task = "run"', 'task = ""', "task must be a text"),
        ('better = "lower"', 'better = "less"', "better must be one of higher, lower"),
        ("runs = 1", "runs = 0", "runs must be a whole number from 1 to 50"),
        ("runs = 1", "runs = true", "runs must be a whole number"),
        ("need = 1", "need = 2", "need = 2 of runs = 1 cannot be reached"),
        ("start = 0.7", "start = nan", "finite number"),
        ("start = 0.7", 'start = "0.7"', "finite number"),
        ("start = 0.7", "start = { sample = 0.7 }", "start is one number, not"),
        ("start = 0.7", 'data = "california"\nstart = { sample = 0.7 }', "or a table { full = … }"),
        ("start = 0.7", 'start = 0.7\ndata = "cifar"', "data must be one of mnist, california"),
        ("start = 0.7", 'start = 7\nscale = "share"', "does not fit scale = 'share'"),
        ("start = 0.7", 'start = -7\nscale = "positive"', "does not fit scale = 'positive'"),
        ("start = 0.7", 'start = 0.7\nwrong = "one"', "wrong must be a list"),
        ("start = 0.7", "start = 0.7\nepochs = 3", "unknown epochs; known are about, better"),
        ("[rmse]", "x = 1\n[rmse]", "outside of a table"),
        ("[rmse]", "[rmse", "thresholds.toml"),
    ],
)
def test_a_wrong_declaration_is_named(tmp_path, old, new, message):
    with pytest.raises(SuiteError, match=message):
        load(written(tmp_path, ONE.replace(old, new)))


def test_a_start_that_lacks_a_kind_is_named():
    with pytest.raises(SuiteError, match="no start for the data kind 'full'"):
        threshold(data="mnist", start={"sample": 0.9}).start_for("full")


def test_calibrations_survive_being_stored(tmp_path):
    declared = load(written(tmp_path, ONE)).get("rmse")
    text = dump([stored(declared), stored(declared, device="cuda")])
    found = load(written(tmp_path, ONE, text))
    assert dump(found.calibrations) == text == dump(found.calibrations[::-1])
    assert json.loads(text)["calibrations"][0]["variants"]["wrong"]["seeds"] == [[0.5, None], [0.4]]
    assert "[[0.91, 0.92, 0.93], [0.9, 0.94, 0.95]]\n" in text
    assert found.stored("rmse", None, "cpu").variants[0].name == "solution"
    assert math.isnan(found.stored("rmse", None, "cuda").variants[1].values[1])
    assert found.stored("rmse", "full", "cpu") is None


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}', '{"format": 1, "calibrations": [{}]}', "[1]"])
def test_a_calibration_that_cannot_be_read_is_named(tmp_path, text):
    with pytest.raises(SuiteError, match=r"calibration\.json.*calibrate"):
        load(written(tmp_path, ONE, text))


def test_the_calibrated_value_is_in_use_only_for_its_own_case(tmp_path):
    declared = threshold()
    found = Thresholds("ex9", {"accuracy": declared}, (stored(declared),))
    assert found.in_use("accuracy", None, "cpu").value == 0.87
    assert found.in_use("accuracy", None, "cpu").note == ""
    missing = found.in_use("accuracy", None, "cuda")
    assert (missing.value, missing.false_rejection) == (0.9, None)
    assert "never measured" in missing.note
    assert "autograder calibrate ex9 --threshold accuracy --device cuda" in missing.note
    changed = replace(found, declared={"accuracy": replace(declared, start={"": 0.8})})
    assert changed.in_use("accuracy", None, "cpu").value == 0.8
    assert "changed since" in changed.in_use("accuracy", None, "cpu").note


# ---------------------------------------------------------------- the rule


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([], None),
        ([0.9], None),
        ([0.9, 0.9], True),
        ([0.9, 0.1], None),
        ([0.1, 0.1], False),
        ([0.9, 0.1, 0.95], True),
        ([0.9, 0.1, 0.89], False),
        ([math.nan, math.inf], False),
    ],
)
def test_the_verdict_falls_as_soon_as_it_is_certain(values, verdict):
    assert threshold().verdict(values, 0.9) is verdict


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([0.96], True), ([0.94], None), ([0.1, 0.96], True), ([0.1, 0.1, 0.96], False), ([math.inf], None)],
)
def test_a_run_that_is_good_enough_settles_the_verdict(values, verdict):
    assert threshold().verdict(values, 0.9, 0.95) is verdict


def test_what_settles_it_is_better_than_the_threshold(tmp_path):
    sure = FULL.replace("digits = 2", "sure = { sample = 0.9, full = 0.96 }")
    found = load(written(tmp_path, sure)).get("accuracy")
    assert [found.sure_for(kind) for kind in ("sample", "full", None)] == [0.9, 0.96, None]
    assert load(tmp_path).in_use("accuracy", "full", "cpu").sure == 0.96
    assert found.declaration["sure"] == {"sample": 0.9, "full": 0.96}
    for key, value, message in (
        ("sample = 0.9,", "sample = 0.88,", "sure = 0.88 has to be better than start = 0.88"),
        ("sample = 0.9,", "other = 0.9,", "sure is one number or a table"),
        ("{ sample = 0.9, full = 0.96 }", "0.94", "sure = 0.94 has to be better than start = 0.95"),
    ):
        with pytest.raises(SuiteError, match=message):
            load(written(tmp_path, sure.replace(key, value)))
    with pytest.raises(SuiteError, match=r"sure = 0.8 has to be better than start = 0.7"):
        load(written(tmp_path, ONE + "sure = 0.8\n"))


def test_lower_is_better_and_infinity_is_not():
    rmse = threshold(better="lower", scale="positive", start={"": 0.7})
    assert [rmse.passes(x, 0.7) for x in (0.7, 0.71, -math.inf, math.nan)] == [True, False, False, False]


def test_loosening_goes_to_the_lenient_side():
    assert [threshold().loosened(0.935, steps) for steps in (0, 1, 2)] == [0.93, 0.92, 0.91]
    assert [threshold(better="lower").loosened(0.7, steps) for steps in (0, 1)] == [0.7, 0.71]
    assert threshold().loosened(0.29, 0) == 0.29


def test_a_value_never_looks_as_if_it_reached_what_it_missed():
    assert threshold().text(0.93) == "93 %"
    assert threshold().text(0.935) == "93.5 %"
    assert threshold().text(0.92996, 0.93) == "92.9 %"
    assert threshold().text(0.93004, 0.93) == "93.0 %"
    assert threshold(better="lower", scale="positive").text(0.70001, 0.7) == "0.701"
    assert threshold(scale="positive").text(0.7) == "0.70"
    assert [threshold().text(x, 0.9) for x in (math.nan, math.inf)] == ["nan", "infinite"]


# ---------------------------------------------------------------- in a check


def calibrator(declared=None, calibrations=(), **changes):
    declared = declared or threshold()
    found = Thresholds("ex9", {"accuracy": declared}, tuple(calibrations))
    return Calibrator(found, "test_accuracy", Draw(5), DataSets(), "cpu", **changes)


def runs_of(*values):
    """A run that gives these values in turn, and the seeds that it was given."""
    left, seeds = list(values), []

    def run(seed):
        seeds.append(seed)
        return left.pop(0)

    return run, seeds


def test_a_right_answer_passes_and_stops_early():
    check = calibrator()
    run, seeds = runs_of(0.95, 0.93, 0.1)
    assert check("accuracy").check(run) is None
    assert check.measured == [("accuracy", 0.95), ("accuracy", 0.93)]
    assert len(set(seeds)) == 2
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_run_that_is_good_enough_is_the_only_one():
    check = calibrator(threshold(sure={"": 0.94}))
    run, seeds = runs_of(0.95)
    assert check("accuracy").check(run) is None
    assert len(seeds) == 1
    run, seeds = runs_of(0.1, 0.95)
    assert check("accuracy").check(run) is None
    assert len(seeds) == 2


def test_a_wrong_answer_is_told_values_threshold_and_hint():
    declared = threshold()
    check = calibrator(declared, [stored(declared)])
    run, _ = runs_of(0.86, 0.95, 0.8699)
    with pytest.raises(CheckFailed) as failure:
        check("accuracy").check(run, name="accuracy on digits", hint="Train longer.", slide="01.09")
    told = failure.value.explanation
    assert told.summary == "Accuracy on digits: 1 of 3 runs reached 87 %."
    assert told.got == "86.0 %, 95.0 %, 86.9 %"
    assert (
        told.expected
        == "at least 87 % in 2 of 3 runs (right answers miss that in fewer than 1 of 1,000 cases)"
    )
    assert (told.hint, told.slide, failure.value.mistake) == ("Train longer.", "01.09", None)
    assert len(told.text()) < 400


def test_a_single_run_is_told_in_its_own_words():
    declared = threshold(runs=1, need=1, better="lower", scale="positive", start={"": 0.7}, about="RMSE")
    with pytest.raises(CheckFailed) as failure:
        calibrator(declared)("accuracy").check(lambda seed: math.nan)
    assert failure.value.explanation.summary == "RMSE: nan is not enough."
    assert failure.value.explanation.expected == "at most 0.70"


def test_the_check_can_name_a_mistake_by_the_values():
    run, _ = runs_of(0.1, 0.2)
    with pytest.raises(CheckFailed) as failure:
        calibrator()("accuracy").check(run, mistake=lambda values: "chance" if max(values) < 0.3 else None)
    assert failure.value.mistake == "chance"
    with pytest.raises(CheckFailed) as failure:
        calibrator()("accuracy").check(lambda seed: 0.0, mistake="always")
    assert failure.value.mistake == "always"


def test_while_measuring_every_run_is_made_and_nothing_fails():
    check = calibrator(measuring=True)
    run, seeds = runs_of(0.95, 0.93, 0.94)
    check("accuracy").check(run)
    assert len(seeds) == 3
    check("accuracy").check(lambda seed: math.nan)
    assert len(check.measured) == 6


def test_seeds_are_the_checks_own_and_shared_by_its_thresholds():
    first, again, other = calibrator(), calibrator(), replace(calibrator(), draw=Draw(6))
    assert list(first.seeds(2)) == list(again.seeds(3))[:2] == list(first.seeds(3))[:2]
    assert list(first.seeds(3)) != list(other.seeds(3))
    assert "randint" in first.draw.reproduce


def test_single_values_can_be_asked_for():
    check = calibrator()
    accuracy = check("accuracy")
    assert (accuracy.value, accuracy.better) == (0.9, "higher")
    assert [accuracy.passes(x) for x in (0.9, np.float64(0.95), 1, 0.89, math.nan, 10**400)] == [
        *(True, True, True, False, False, False)
    ]
    assert len(check.measured) == 6
    assert all(type(value) is float for _, value in check.measured)


@pytest.mark.parametrize("value", [None, True, "0.99", [0.99], np.bool_(True), 1j, np.ones(1)])
def test_what_is_no_number_of_the_judges_own_is_the_suites_fault(value):
    with pytest.raises(SuiteError, match="must give a number that the check computed"):
        calibrator()("accuracy").check(lambda seed: value)


def test_a_threshold_of_another_check_cannot_be_used():
    with pytest.raises(SuiteError, match="belongs to test_accuracy, not to test_other"):
        replace(calibrator(), check="test_other")("accuracy")


def test_the_data_kind_chooses_the_value():
    declared = threshold(data="mnist", start={"sample": 0.88, "full": 0.95})
    assert calibrator(declared)("accuracy").value == 0.88
    kinds = type("Set", (), {"kind": "full"})()
    full = replace(calibrator(declared), data=DataSets({"mnist": kinds}))
    assert full("accuracy").value == 0.95


def test_an_uncalibrated_threshold_is_told_to_the_instructor_once(caplog, monkeypatch):
    monkeypatch.setattr(calibrated, "_noted", set())
    with caplog.at_level(logging.WARNING):
        calibrator()("accuracy")
        calibrator()("accuracy")
        calibrator(measuring=True)("accuracy")
    assert len(caplog.records) == 1
    assert "autograder calibrate ex9" in caplog.text


def test_measured_values_are_in_the_json():
    measured = (("accuracy", 0.9), ("rmse", 1.5), ("accuracy", math.nan))
    record = CheckResult("c", "t", Outcome.PASSED, 1.0, 1.0, measured=measured)
    assert record.to_json()["measured"] == {"accuracy": [0.9, None], "rmse": [1.5]}
    json.dumps(record.to_json(), allow_nan=False)
