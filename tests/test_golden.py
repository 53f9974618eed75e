"""Every golden submission gets exactly its expected score, outcome and mistakes, whatever the seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder import config, golden, schedule

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
ASSIGNMENTS = sorted(folder.name for folder in GOLDEN.iterdir() if folder.is_dir())


def graded(assignment, goldens, folder, seed):
    """Results by name; those with limits of their own are graded with these."""
    settings = config.load(ROOT)
    groups: dict[tuple, list] = {}
    for item in goldens:
        groups.setdefault(tuple(sorted(item.limit_changes.items())), []).append(item)
    results = {}
    for changes, items in groups.items():
        paths = []
        for item in items:
            path = folder / f"{item.name}.ipynb"
            path.write_bytes(item.notebook_bytes(settings.course))
            paths.append(path)
        limits = settings.limits.with_changes(dict(changes))
        for result in schedule.check_files(
            settings.course, assignment, paths, limits=limits, seed=seed, workers=2
        ):
            results[result.name] = result
    return results


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_all_golden_submissions(assignment, tmp_path):
    goldens = golden.load_all(GOLDEN / assignment)
    assert goldens
    results = graded(assignment, goldens, tmp_path, seed=0)
    wrong = {item.name: item.compare(results[item.name]) for item in goldens}
    assert {name: lines for name, lines in wrong.items() if lines} == {}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_right_answers_are_right_with_every_seed(assignment, seed, tmp_path):
    goldens = [item for item in golden.load_all(GOLDEN / assignment) if item.expected.outcome == "PASSED"]
    results = graded(assignment, goldens, tmp_path, seed)
    wrong = {item.name: item.compare(results[item.name]) for item in goldens}
    assert {name: lines for name, lines in wrong.items() if lines} == {}
