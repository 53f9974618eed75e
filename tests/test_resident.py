"""The judge that stays gives what a new one gives, and only where it fits."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autograder import config, resident, schedule
from autograder.jobs import Setup
from autograder.layout import Course
from autograder.sandbox.support import support

ROOT = Path(__file__).resolve().parents[1]
NAME = "ex0_environment"
SOLUTION = ROOT / "solutions" / NAME / f"{NAME}.ipynb"

pytestmark = pytest.mark.skipif(support().chain == "none", reason="this machine cannot build a sandbox")


def autograder(root, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "autograder", *arguments, "--course", str(root)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course whose folder has a long name, with a warm judge."""
    root = tmp_path_factory.mktemp("course") / ("long " * 20).strip()
    shutil.copytree(ROOT / "source" / NAME, root / "source" / NAME)
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    suites = root / "suites"
    shutil.copytree(ROOT / "autograder" / "suites" / NAME, suites / NAME)
    (root / "pyproject.toml").write_text('[tool.autograder]\nsuites = "suites"\n')
    started = autograder(root, "warm", NAME, "--minutes", "5")
    assert started.returncode == 0, started.stderr
    assert "warm after" in started.stdout
    yield root
    stopped = autograder(root, "warm", "--stop")
    assert "ended" in stopped.stdout
    assert resident.running(config.load(root).course) is None


def setup_of(root):
    settings = config.load(root)
    return Setup(settings.course, (NAME,), settings.limits, "cpu", True, b"s" * 32)


def warm_pool(setup, workers=1):
    pool = schedule.Pool(setup, workers)
    assert pool._master is None, "the warm judge was not used"
    return pool


def test_it_gives_the_same_results_as_a_new_judge(course, monkeypatch):
    setup = setup_of(course)
    job = schedule.FileJob(NAME, SOLUTION, seed=3)
    with warm_pool(setup) as pool:
        ((_, warm),) = pool.map([job])
    monkeypatch.setattr(resident, "connect", lambda *_: [])
    with schedule.Pool(setup, 1) as pool:
        ((_, cold),) = pool.map([job])
    assert warm.score == warm.max_score == cold.score

    def verdicts(result):
        return [(check.id, check.outcome, check.seed) for task in result.tasks for check in task.checks]

    assert verdicts(warm) == verdicts(cold)


def test_limits_and_secrets_are_those_of_the_caller(course):
    setup = setup_of(course)
    job = schedule.Job("ada", NAME, SOLUTION.parent)
    seeds = []
    for secret in (b"a" * 32, b"b" * 32):
        with warm_pool(replace(setup, secret=secret)) as pool:
            (result,) = pool.map([job])
        seeds.append(result.notebooks[0].seed)
    assert seeds[0] != seeds[1]
    with warm_pool(replace(setup, limits=setup.limits.with_changes({"notebook_cells": 2}))) as pool:
        (result,) = pool.map([job])
    assert "2" in result.notebooks[0].message


def test_several_workers_serve_one_caller(course):
    with warm_pool(setup_of(course), 2) as pool:
        results = list(pool.map([schedule.FileJob(NAME, SOLUTION, seed=seed) for seed in range(4)]))
    assert [result.score for _, result in results] == [5.0] * 4


def test_what_was_made_from_other_files_is_not_used(course):
    setup = setup_of(course)
    mistakes = course / "suites" / NAME / "mistakes.py"
    text = mistakes.read_text()
    mistakes.write_text(text + "\n# changed\n")
    try:
        assert resident.connect(setup, 1) == []
    finally:
        mistakes.write_text(text)
    assert resident.connect(replace(setup, device="cuda"), 1) == []
    other = Course(course, ROOT / "autograder" / "suites")
    assert resident.connect(replace(setup, course=other), 1) == []
    (connection,) = resident.connect(setup, 1)
    connection.close()


def test_a_relative_path_is_the_callers(course, monkeypatch, tmp_path):
    shutil.copyfile(SOLUTION, tmp_path / "mine.ipynb")
    monkeypatch.chdir(tmp_path)
    with warm_pool(setup_of(course)) as pool:
        ((_, result),) = pool.map([schedule.FileJob(NAME, Path("mine.ipynb"))])
    assert result.score == 5.0


def test_strangers_have_no_way_in(course):
    folder = config.load(course).course.secret_path.parent
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "warm.socket").stat().st_mode & 0o077 == 0
    assert resident.running(config.load(course).course)["assignments"] == [NAME]


def test_a_socket_that_nobody_serves_is_no_judge(tmp_path):
    course = Course(tmp_path, tmp_path / "suites")
    folder = course.secret_path.parent
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "warm.socket"))
    assert resident.running(course) is None
    assert not resident.stop(course)
