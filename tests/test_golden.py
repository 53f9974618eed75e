"""Every golden submission gets exactly its expected score, outcome and mistakes, whatever the seed.

Right answers are graded alone. Wrong ones share notebooks, see :mod:`autograder.packing`; one that differs is
graded alone before it is called wrong, and ``pytest --unpacked`` grades all alone.

Half of the wrong answers are graded by default, a quarter where each trains networks for a second or more;
all with ``--every-golden``, as ``.ci/run`` has it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autograder import config, golden, packing
from autograder.schedule import FileJob

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
LONG = ("ex4b_training", "ex5_mnist", "ex6_regression")
ASSIGNMENTS = sorted(folder.name for folder in GOLDEN.iterdir() if folder.is_dir())


@pytest.fixture
def grade(checker, tmp_path):
    """Grade golden submissions and packs of one assignment; those with limits of their own with these."""
    settings = config.load(ROOT)

    def run(assignment, items, seed=0):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        jobs = []
        for item in items:
            path = folder / f"{item.name}.ipynb"
            path.write_bytes(item.notebook_bytes(settings.course))
            limits = item.limits(settings.limits) if isinstance(item, golden.Golden) else None
            jobs.append(FileJob(assignment, path, seed=seed, limits=limits))
        return {result.name: result for _, result in checker.map(jobs)}

    return run


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_all_golden_submissions(assignment, grade, request):
    goldens = golden.load_all(GOLDEN / assignment)
    assert goldens
    if not request.config.getoption("--every-golden"):
        wrong = [item for item in goldens if item.expected.outcome != "PASSED"]
        kept = {item.name for item in wrong[:: 4 if assignment in LONG else 2]}
        goldens = [item for item in goldens if item.expected.outcome == "PASSED" or item.name in kept]
    right = golden.right_answers(config.load(ROOT).course, assignment)
    packed = not request.config.getoption("--unpacked")
    wrong = packing.differences(goldens, right, lambda items: grade(assignment, items), packed=packed)
    assert wrong == {}


def test_a_wrong_expectation_in_a_pack_is_seen_and_its_golden_named(grade):
    known = {item.name: item for item in golden.load_all(GOLDEN / "ex1_tensors")}
    names = ("affine-column_bias", "elementwise-in_place", "reshape-view_needs_contiguous")
    goldens = [known[name] for name in names]
    expected = replace(goldens[1].expected, mistakes={"elementwise": "another"})
    goldens[1] = replace(goldens[1], expected=expected)
    right = golden.right_answers(config.load(ROOT).course, "ex1_tensors")
    assert [len(item.members) for item in packing.pack(goldens, right)[0]] == [3]
    found = packing.differences(goldens, right, lambda items: grade("ex1_tensors", items))
    assert found == {names[1]: ["elementwise: the mistake named is in_place instead of another"]}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_right_answers_are_right_with_every_seed(assignment, seed, grade, request):
    if not request.config.getoption("--every-seed"):
        pytest.skip("only with --every-seed, as .ci/run has it")
    goldens = [item for item in golden.load_all(GOLDEN / assignment) if item.expected.outcome == "PASSED"]
    results = grade(assignment, goldens, seed)
    wrong = {item.name: item.compare(results[item.name]) for item in goldens}
    assert {name: lines for name, lines in wrong.items() if lines} == {}
