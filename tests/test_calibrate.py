"""From golden submissions to thresholds: the predicted rates, the choice, the pages, the command."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autograder import calibrate, calibration, calibration_files, cli, config
from autograder.calibration import GOAL, choose, problems, rate_text, row
from autograder.errors import SuiteError, UsageError
from autograder.predictive import binomial_tail, fit, single_miss_rate, verdict_miss_rate
from autograder.thresholds import Thresholds, Variant, load
from tests.test_thresholds import threshold

ROOT = Path(__file__).resolve().parents[1]
COURSE = config.load(ROOT)


# ---------------------------------------------------------------- predicted rates


def test_the_binomial_tail_is_that_of_the_rule():
    miss = np.array([0.0, 0.1, 0.5, 1.0])
    assert binomial_tail(miss, 1, 1) == pytest.approx(miss)
    assert binomial_tail(miss, 3, 2) == pytest.approx(3 * miss**2 * (1 - miss) + miss**3)
    assert binomial_tail(miss, 4, 4) == pytest.approx(1 - (1 - miss) ** 4)


@pytest.mark.parametrize(("runs", "need"), [(1, 1), (3, 2), (5, 3), (4, 4)])
@pytest.mark.parametrize(("low", "high"), [(-0.5, 1.0), (0.3, 0.4), (0.2, 3.0)])
def test_a_run_that_settles_the_verdict_is_in_the_prediction(runs, need, low, high):
    rng, repeats = np.random.default_rng(7), 20_000
    values = rng.normal(size=(repeats, runs))
    rule = threshold(runs=runs, need=need)
    seen = float(np.mean([not rule.verdict(row, low, high) for row in values.tolist()]))
    miss, settled = 0.5 * math.erfc(-low / math.sqrt(2)), 0.5 * math.erfc(high / math.sqrt(2))
    right = float(binomial_tail(np.asarray(miss), runs, need, settled))
    assert right == pytest.approx(seen, abs=5 * math.sqrt(0.25 / repeats))
    if runs == 3:
        found = fit(rng.normal(size=2000).tolist(), "real")  # so many that they leave nothing open
        predicted = verdict_miss_rate(found, low, higher=True, runs=runs, need=need, sure=high)
        assert predicted == pytest.approx(right, abs=0.05)


def test_values_without_spread_settle_it_or_do_not():
    found = fit([0.9, 0.9, 0.9, math.nan], "share")
    rate = {
        sure: verdict_miss_rate(found, 0.8, higher=True, runs=3, need=2, sure=sure) for sure in (0.85, 0.95)
    }
    assert rate == {0.85: pytest.approx(0.25**2), 0.95: pytest.approx(0.25**2 * (1 + 2 * 0.75))}


@pytest.mark.parametrize("n", [3, 5, 20, 60])
@pytest.mark.parametrize("away", [-3.0, -1.0, 0.5])
def test_one_run_misses_as_students_t_says(n, away):
    values = list(np.random.default_rng(n).normal(size=n))
    found = fit(values, "real")
    limit = found.mean + away * found.sd
    single = single_miss_rate(found, limit, higher=True)
    assert verdict_miss_rate(found, limit, higher=True, runs=1, need=1) == pytest.approx(single, rel=1e-4)
    mirrored = fit([-value for value in values], "real")
    assert single_miss_rate(mirrored, -limit, higher=False) == pytest.approx(single)


@pytest.mark.parametrize(("n", "away"), [(6, 2.0), (12, 1.5), (60, 2.0)])
@pytest.mark.parametrize(("runs", "need"), [(1, 1), (3, 2), (5, 5)])
def test_the_prediction_is_how_often_it_happens(n, away, runs, need):
    """Calibrate again and again, each time with fresh values, and see how often the next verdict rejects."""
    rng, repeats = np.random.default_rng(1), 200_000
    values = rng.normal(size=(repeats, n))
    limits = values.mean(axis=1) - away * values.std(axis=1, ddof=1)
    hits = (rng.normal(size=(repeats, runs)) >= limits[:, None]).sum(axis=1)
    seen = float((hits < need).mean())
    one = fit(list(values[0]), "real")
    predicted = verdict_miss_rate(one, one.mean - away * one.sd, higher=True, runs=runs, need=need)
    assert predicted == pytest.approx(seen, abs=5 * math.sqrt(seen / repeats) + 1e-9)


def test_shared_uncertainty_makes_two_misses_likelier_than_their_product():
    found = fit(list(np.random.default_rng(0).normal(size=10)), "real")
    limit = found.mean - 3 * found.sd
    single = single_miss_rate(found, limit, higher=True)
    together = verdict_miss_rate(found, limit, higher=True, runs=3, need=2)
    assert together > 2 * (3 * single**2)


@pytest.mark.parametrize(
    ("values", "scale", "limit", "single"),
    [
        ([0.9, 0.9, 0.9], "share", 0.9, 0.0),
        ([0.9, 0.9, 0.9], "share", 0.91, 1.0),
        ([1.0, 1.0, 1.0, math.nan], "share", 0.9, 0.25),
        ([0.0, 0.0, 0.0], "share", 0.5, 1.0),
    ],
)
def test_values_without_spread_and_values_that_are_not_finite(values, scale, limit, single):
    found = fit(values, scale)
    assert single_miss_rate(found, limit, higher=True) == single
    verdict = verdict_miss_rate(found, limit, higher=True, runs=3, need=2)
    assert verdict == pytest.approx(3 * single**2 * (1 - single) + single**3)


def test_two_values_are_too_few():
    with pytest.raises(SuiteError, match="2 finite values are too few"):
        fit([0.9, 0.8, math.nan], "share")


# ---------------------------------------------------------------- the choice


def variant(name="solution", right=True, *, mean=2.5, sd=0.2, seeds=20, runs=3, scale="share", lost=0):
    z = np.random.default_rng(len(name)).normal(mean, sd, size=(seeds, runs))
    values = 1 / (1 + np.exp(-z)) if scale == "share" else np.exp(z)
    return Variant(name, right, tuple(tuple(map(float, seed)) for seed in values), lost)


def test_a_wish_that_right_answers_meet_is_kept():
    value, rate = choose(threshold(start={"": 0.85}), None, [variant(), variant("wrong", False, mean=0)])
    assert value == 0.85
    assert rate <= GOAL


def test_a_wish_that_the_worst_right_answer_misses_is_loosened_no_further_than_needed():
    declared, all_of_them = threshold(start={"": 0.91}), [variant(), variant("odd", sd=0.3)]
    value, rate = choose(declared, None, all_of_them)
    assert 0.6 < value < 0.91
    assert rate <= GOAL
    assert max(row(declared, None, one, value).verdict for one in all_of_them) == rate
    assert max(row(declared, None, one, value + 0.01).verdict for one in all_of_them) > GOAL
    assert choose(declared, None, all_of_them[:1])[0] > value


def test_lower_is_better_loosens_upwards():
    declared = threshold(better="lower", scale="positive", start={"": 0.5})
    value, _ = choose(declared, None, [variant(mean=-0.6, sd=0.05, scale="positive")])
    assert 0.5 < value < 0.7
    assert value == round(value, 2)


def test_what_cannot_be_calibrated_is_an_error():
    with pytest.raises(SuiteError, match="no right variant"):
        choose(threshold(), None, [variant("wrong", False)])
    with pytest.raises(SuiteError, match="fewer than 3 finite values"):
        choose(threshold(), None, [Variant("solution", True, ((), (0.9,)), 2)])
    broken = Variant("solution", True, ((math.nan, 0.9, 0.9),) * 20)
    with pytest.raises(SuiteError, match="no value rejects at most 1 of 1000"):
        choose(threshold(), None, [broken])


def test_a_row_counts_misses_and_rejections():
    seeds = ((0.95, 0.95, 0.1), (0.95, 0.1, math.nan), (0.95,))
    found = row(threshold(), None, Variant("odd", True, seeds, 1), 0.9)
    assert (found.n, found.missed, found.verdicts, found.rejected, found.lost) == (7, 3, 3, 2, 1)
    assert (found.low, found.high) == (0.1, 0.95)
    assert row(threshold(), None, Variant("odd", False, ((),), 1), 0.9).verdict is None


@pytest.mark.parametrize(
    ("rate", "text"),
    [(None, "–"), (0.0, "< 1 in 1,000,000"), (1 / 2345, "1 in 2,300"), (0.04, "1 in 25"), (0.998, "99.8 %")],
)
def test_rates_in_words(rate, text):
    assert rate_text(rate) == text


# ---------------------------------------------------------------- what is stored


def calibrated(declared=None, **changes):
    declared = declared or threshold(start={"": 0.85}, wrong=("odd",))
    variants = [variant(), variant("odd", False, mean=0)]
    made = calibration.calibrated(declared, None, "cpu", variants, {"torch": "2.13.0"})
    return Thresholds("ex9", {declared.name: declared}, (replace(made, **changes),))


def test_a_current_calibration_has_no_problems():
    assert problems(calibrated()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": 0.84}, "stores 0.84, but its values give 0.85"),
        ({"false_rejection": 0.5}, "stores the rate 0.5"),
        ({"device": "cuda"}, "is not calibrated on cpu"),
        ({"threshold": "other"}, "is stored and not declared"),
        ({"declaration": {}}, "another declaration"),
        ({"variants": (variant(),)}, "no values of odd"),
        ({"variants": (variant(seeds=5), variant("odd", False))}, "rests on 5 seeds of solution"),
        ({"variants": (variant(lost=1), variant("odd", False))}, "1 checks of solution ended otherwise"),
        ({"variants": (variant("odd", False),)}, "no right variant"),
    ],
)
def test_a_calibration_that_is_not_current_is_named(changes, message):
    assert any(message in line for line in problems(calibrated(**changes)))


@pytest.mark.parametrize(("sure", "settles"), [(0.99, False), (0.55, True)])
def test_a_wrong_variant_that_could_settle_a_verdict_is_named(sure, settles):
    declared = threshold(start={"": 0.5}, sure={"": sure}, wrong=("odd",), right=("solution",))
    both = [variant(), variant("odd", False, mean=0.5)]  # around 0.62
    made = calibration.calibrated(declared, None, "cpu", both, {})
    found = problems(Thresholds("ex9", {declared.name: declared}, (made,)))
    assert [line for line in found if "odd has reached" in line] == (found if settles else [])
    assert bool(found) is settles


def test_the_page_and_the_picture():
    found = calibrated()
    page = calibration_files.page(found)
    assert page == calibration_files.page(found)
    assert "## accuracy ≥ 85 % (cpu)" in page
    assert "| odd (wrong) | 60 | 0.499 |" in page
    data = calibration_files.picture(found)
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20], "big") == 900
    assert calibration_files.picture(replace(found, calibrations=())).startswith(b"\x89PNG")


@pytest.mark.parametrize("scale", ["positive", "real"])
def test_pictures_of_other_scales(scale):
    declared = threshold(scale=scale, better="lower", start={"": 30.0}, wrong=())
    values = variant(scale="positive")
    made = calibration.calibrated(declared, None, "cpu", [values], {})
    assert calibration_files.picture(Thresholds("ex9", {declared.name: declared}, (made,)))


@pytest.mark.parametrize("assignment", calibrate.declaring(COURSE))
def test_stored_calibrations_of_the_course_are_current(assignment):
    assert calibrate.check(COURSE, [assignment]) == []


# ---------------------------------------------------------------- a course from end to end

CHECK = """
from autograder import points
from autograder.checks import fail

@points("guess", 1)
def test_other(student):
    assert False, "judged although it has no threshold"

@points("guess", 1)
def test_guess(student, calibrated):
    calibrated("quality").check(lambda seed: student.guess(seed), name="quality", hint="Guess better.")
"""
DECLARED = """
[quality]
task = "guess"
check = "test_guess"
better = "higher"
runs = 3
need = 2
start = 0.9
wrong = ["bad", "raises"]
"""
GUESS = "def guess(seed):\n    return {base} + seed % 1000 / 1e5"


def notebook_of(*cells):
    made = []
    for grade_id, source in cells:
        marks = {"schema_version": 3, "grade_id": grade_id, "task": False}
        solution = grade_id.startswith("solution-")
        marks |= {"solution": solution, "grade": not solution, "locked": not solution}
        marks |= {} if solution else {"points": 2}
        cell = {"id": grade_id, "cell_type": "code", "source": source, "outputs": [], "execution_count": None}
        made.append({**cell, "metadata": {"nbgrader": marks}})
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made})


@pytest.fixture
def tiny(tmp_path):
    """A course with one task, a right and two wrong answers, and a threshold."""
    (tmp_path / "pyproject.toml").write_text("[tool.autograder]\n")
    cells = [("solution-guess", GUESS.format(base=0.95)), ("guess", "assert guess(1) > 0")]
    cells += [("solution-slow", "slow = 1"), ("slow", "raise SystemExit('never run here')")]
    for folder in ("source", "release"):
        (tmp_path / folder / "tiny").mkdir(parents=True)
        (tmp_path / folder / "tiny" / "tiny.ipynb").write_text(notebook_of(*cells))
    suite = tmp_path / "autograder" / "suites" / "tiny"
    suite.mkdir(parents=True)
    (suite / "test_guess.py").write_text(CHECK)
    (suite / "thresholds.toml").write_text(DECLARED)
    goldens = tmp_path / "tests" / "golden" / "tiny"
    goldens.mkdir(parents=True)
    answers = {"solution": None, "odd": GUESS.format(base=0.93), "bad": GUESS.format(base=0.5)}
    answers["raises"] = "def guess(seed):\n    return 0.9 if seed % 2 else {}['x']"
    for name, source in answers.items():
        text = 'base = "solution"\n'
        text += f"[cells]\nguess = '''\n{source}\n'''\n" if source else ""
        text += "[expect]\ntasks = {guess = 0.0}\n" if name in ("bad", "raises") else ""
        (goldens / f"{name}.toml").write_text(text)
    return tmp_path


def test_a_course_is_calibrated_from_end_to_end(tiny, capsys):
    where = ["--course", str(tiny)]
    assert cli.main(["calibrate", "--check", *where]) == 1
    assert "quality is not calibrated on cpu" in capsys.readouterr().out
    assert cli.main(["calibrate", "tiny", "--seeds", "20", "--workers", "1", *where]) == 0
    shown = capsys.readouterr().out
    assert "quality ≥ 90 % (cpu); start 90 %" in shown
    found = load(tiny / "autograder" / "suites" / "tiny")
    (item,) = found.calibrations
    assert (item.value, found.in_use("quality", None, "cpu").note) == (0.9, "")
    variants = {one.name: one for one in item.variants}
    assert {name: one.right for name, one in variants.items()} == {
        "solution": True,
        "odd": True,
        "bad": False,
        "raises": False,
    }
    assert [len(seed) for seed in variants["solution"].seeds] == [3] * 20
    assert len(set(variants["solution"].values)) > 40, "every run of every seed has a seed of its own"
    assert variants["solution"].lost == variants["bad"].lost == 0
    assert variants["raises"].lost > 10
    assert row(found.get("quality"), None, variants["bad"], 0.9).rejected == 20
    assert cli.main(["calibrate", "--check", *where]) == 0
    page = tiny / "docs" / "calibration" / "tiny.md"
    page.write_text("something else")
    assert cli.main(["calibrate", "--check", *where]) == 1
    assert "pages" in capsys.readouterr().out


def test_what_was_measured_is_shown_when_no_threshold_can_be_met(tiny, capsys):
    solution = tiny / "tests" / "golden" / "tiny" / "odd.toml"
    solution.write_text(solution.read_text().replace("0.93 +", "float('nan') +"))
    command = ["calibrate", "tiny", "--seeds", "3", "--workers", "1", "--course", str(tiny)]
    assert cli.main(command) == 1
    shown = capsys.readouterr()
    assert "worst right variant: –" in shown.out
    assert "right variant 'odd' gave fewer than 3 finite values" in shown.err
    assert not (tiny / "autograder" / "suites" / "tiny" / "calibration.json").exists()


def test_a_suite_run_directly_has_the_fixture(tiny):
    (tiny / "release" / "tiny" / "bad.ipynb").write_text(
        notebook_of(("solution-guess", GUESS.format(base=0.5)))
    )
    suite = tiny / "autograder" / "suites" / "tiny"
    found, where = {}, {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in ("tiny", "bad"):
        command = [sys.executable, "-m", "pytest", str(suite), "-q", "-k", "test_guess"]
        command += ["-p", "no:cacheprovider"]
        command += ["--submission", str(tiny / "release" / "tiny" / f"{name}.ipynb")]
        found[name] = subprocess.run(
            command, capture_output=True, text=True, cwd=tiny, env=where, timeout=120
        )
    assert "1 passed" in found["tiny"].stdout
    assert "none of 2 runs reached 90 %" in found["bad"].stdout


def test_graded_submissions_carry_what_was_measured(tiny, capsys):
    answer = tiny / "release" / "tiny" / "tiny.ipynb"
    answer.write_text(notebook_of(("solution-guess", GUESS.format(base=0.5))))
    assert cli.main(["check", str(answer), "-a", "tiny", "--json", "--course", str(tiny)]) == 0
    checks = json.loads(capsys.readouterr().out)["tasks"][0]["checks"]
    assert [len(one["measured"].get("quality", [])) for one in checks] == [0, 2]
    assert "none of 2 runs reached 90 %" in checks[1]["message"]
    assert "hint: Guess better." in checks[1]["message"]


def test_what_does_not_exist_is_named(tiny, capsys):
    settings = config.load(tiny)
    thresholds = load(tiny / "autograder" / "suites" / "tiny")
    with pytest.raises(SuiteError, match=r"no threshold 'other'.*declared are: quality"):
        calibrate.plan(settings, thresholds, "other")
    (tiny / "tests" / "golden" / "tiny" / "bad.toml").unlink()
    with pytest.raises(UsageError, match=r"not in .*: bad"):
        calibrate.plan(settings, thresholds)
    (tiny / "autograder" / "suites" / "tiny" / "thresholds.toml").unlink()
    assert cli.main(["calibrate", "tiny", "--course", str(tiny)]) == 2
    assert "declares no thresholds" in capsys.readouterr().err
    assert cli.main(["calibrate", "--threshold", "quality", "--course", str(tiny)]) == 2


def test_a_threshold_of_a_check_that_is_not_there_is_the_suites_fault(tiny, capsys):
    path = tiny / "autograder" / "suites" / "tiny" / "thresholds.toml"
    path.write_text(DECLARED.replace("test_guess", "test_gess"))
    answer = tiny / "release" / "tiny" / "tiny.ipynb"
    assert cli.main(["check", str(answer), "-a", "tiny", "--course", str(tiny)]) == 1
    assert "there is no check test_gess of task guess" in capsys.readouterr().err
