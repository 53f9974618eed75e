"""The command line: arguments, exit codes, what goes to stdout, and two runs through the real engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autograder import __version__, batch, cli, demo, golden, schedule
from autograder.errors import GradebookError, SandboxUnavailable, SuiteError
from autograder.layout import Course
from autograder.models import Outcome, SubmissionResult
from autograder.schedule import Job
from tests import samples
from tests import support_nbgrader as nb

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: object, cwd: Path = ROOT, **more) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autograder", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False, **more
    )


# -- arguments


def test_help_is_quick_and_light():
    started = time.monotonic()
    done = run("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("release", "grade", "check", "demo", "exit codes:"))
    assert time.monotonic() - started < 3  # on a busy machine; 0.15 s on an idle one
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "autograder", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    assert not re.search(r"\b(torch|numpy|nbgrader|rich|jinja2|pytest)\b", loaded)


def test_version():
    assert run("--version").stdout.strip() == f"autograder {__version__}"


@pytest.mark.parametrize("command", ["release", "grade", "regrade", "replay", "check", "demo"])
def test_each_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert "--course" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["grad"],
        ["grade", "--workers", "0"],
        ["grade", "--workers", "two"],
        ["grade", "--device", "tpu"],
        ["check", "x.ipynb"],
    ],
)
def test_wrong_arguments_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


# -- a course with two submissions and an engine that answers what a test wants


@pytest.fixture
def course(tmp_path):
    (tmp_path / "nbgrader_config.py").write_text("")
    source = tmp_path / "source" / "ex1_tensors"
    source.mkdir(parents=True)
    (source / "ex1_tensors.ipynb").write_text("{}")
    for student in ("ada", "bob"):
        folder = tmp_path / "submitted" / student / "ex1_tensors"
        folder.mkdir(parents=True)
        (folder / "ex1_tensors.ipynb").write_text("{}")
    return Course(tmp_path)


class FakeRecorder:
    """Stands in for the gradebook, which has tests of its own; writes the pages."""

    fails_for: str = ""

    def __init__(self, course):
        self.course = course

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def record(self, result, *, pages, key):
        if result.student == self.fails_for:
            raise GradebookError("the disk is full; make room")
        folder = self.course.feedback_dir(result.student, result.assignment)
        folder.mkdir(parents=True, exist_ok=True)
        for name, page in pages.items():
            (folder / f"{name}.html").write_text(page)


@pytest.fixture
def engine(monkeypatch):
    """``engine[student]`` is the result that the engine will give; ``engine.seen`` how it was asked."""

    class Engine(dict):
        seen: list[tuple[list[Job], dict]]

    answers = Engine()
    answers.seen = []

    def grade(course, jobs, **options):
        answers.seen.append((list(jobs), options))
        for job in jobs:
            yield SubmissionResult(
                job.assignment, job.student, (answers.get(job.student, samples.typical()),)
            )

    monkeypatch.setattr(batch, "grade_submissions", grade)
    monkeypatch.setattr(batch, "Recorder", FakeRecorder)
    return answers


def main(course, command, *arguments):
    return cli.main([command, "--course", str(course.root), *map(str, arguments)])


def test_grade_prints_a_table_and_writes_pages(course, engine, capsys):
    engine["bob"] = samples.perfect()
    assert main(course, "grade", "--workers", "3", "--device", "cuda") == 0
    out, err = capsys.readouterr()
    assert re.search(r"ex1_tensors\s+2\s+8\.00\s+13\s+1 PASSED, 1 TIMEOUT\s+1", out)
    assert "[1/2] ada ex1_tensors 5/13 TIMEOUT" in err
    assert (course.root / "feedback" / "ada" / "ex1_tensors" / "ex1_tensors.html").is_file()
    ((jobs, options),) = engine.seen
    assert [job.student for job in jobs] == ["ada", "bob"]
    assert (options["workers"], options["device"], options["sandbox"]) == (3, "cuda", True)
    assert len(options["secret"]) >= 16


def test_grade_profile_says_where_the_time_went(course, engine, capsys):
    engine["bob"] = replace(samples.perfect(), stage_s={"cells": 0.25, "judge": 1.5})
    assert main(course, "grade", "--profile", "--workers", "2") == 0
    out, _ = capsys.readouterr()
    assert re.search(r"cells\s+judge\s+0\.25\s+125\.0\s+250", out)
    assert re.search(r"feedback\s+writer\s+\d", out)
    assert "2 submissions in" in out and "2 judge processes: 1.8 s together" in " ".join(out.split())


def test_grade_json_is_a_list_of_submissions(course, engine, capsys):
    assert main(course, "grade", "--json", "--student", "bob") == 0
    out, _ = capsys.readouterr()
    (only,) = json.loads(out)
    assert list(only) == [
        "student",
        "assignment",
        "score",
        "max_score",
        "needs_manual_grade",
        "outcome",
        "notebooks",
        "key",
    ]
    assert only["student"] == "bob" and only["notebooks"][0]["score"] == 5.0


def test_grade_without_sandbox_warns(course, engine, capsys):
    assert main(course, "grade", "--unsafe-no-sandbox") == 0
    assert engine.seen[0][1]["sandbox"] is False
    assert "no sandbox" in capsys.readouterr().err


def test_an_engine_error_exits_with_1_and_keeps_the_old_page(course, engine, capsys):
    page = course.root / "feedback" / "ada" / "ex1_tensors" / "ex1_tensors.html"
    assert main(course, "grade") == 0
    before = page.read_text()
    engine["ada"] = samples.engine_error()
    assert main(course, "grade", "--force") == 1
    assert page.read_text() == before
    assert "ada/ex1_tensors" in capsys.readouterr().err


def test_one_result_that_cannot_be_stored_costs_that_student_only(course, engine, capsys, monkeypatch):
    monkeypatch.setattr(FakeRecorder, "fails_for", "ada")
    assert main(course, "grade") == 1
    assert "ada: the disk is full; make room" in capsys.readouterr().err
    assert (course.root / "feedback" / "bob" / "ex1_tensors" / "ex1_tensors.html").is_file()


def test_nothing_to_grade_is_no_error(course, engine, capsys):
    shutil.rmtree(course.root / "submitted")
    assert main(course, "grade") == 0
    assert "nothing to grade" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["grade", "ex9"], "known are: ex1_tensors"),
        (["grade", "--student", "zoe"], "no submission by 'zoe'"),
        (["check", "no.ipynb", "--assignment", "ex1_tensors"], "no.ipynb is no file"),
        (["check", "no.ipynb", "--assignment", "ex9"], "known are: ex1_tensors"),
        (["demo"], "clone of the course"),
    ],
)
def test_usage_errors_exit_with_2_and_name_the_cure(course, engine, capsys, arguments, said):
    assert main(course, *arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and said in err and "Traceback" not in err


def test_a_folder_without_a_course_names_the_cure(tmp_path, capsys):
    assert cli.main(["grade", "--course", str(tmp_path)]) == 2
    assert "--course DIR" in capsys.readouterr().err
    assert cli.main(["grade", "--course", str(tmp_path / "nowhere")]) == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SandboxUnavailable("no namespaces; use Linux"), 1),
        (SuiteError("points differ"), 1),
        (RuntimeError("boom"), 1),
    ],
)
def test_engine_errors_exit_with_1_without_a_traceback(course, engine, monkeypatch, capsys, error, code):
    def fail(*_, **__):
        raise error
        yield

    monkeypatch.setattr(batch, "grade_submissions", fail)
    assert main(course, "grade") == code
    assert str(error) in capsys.readouterr().err
    with pytest.raises(type(error)):
        main(course, "grade", "--debug")


def test_ctrl_c_says_that_nothing_is_lost(course, engine, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(batch, "grade_submissions", stop)
    assert main(course, "grade") == 130
    assert "what was graded is recorded" in capsys.readouterr().err


# -- check


@pytest.fixture
def checker(monkeypatch):
    seen = {}

    def check(course, assignment, paths, **options):
        seen.update(options, assignment=assignment, paths=list(paths))
        return (replace(samples.typical(), name=path.stem) for path in paths)

    monkeypatch.setattr(schedule, "check_files", check)
    return seen


def test_check_json_is_an_object_for_one_and_a_list_for_several(course, checker, capsys):
    path = course.source_notebooks("ex1_tensors")[0]
    assert main(course, "check", path, "--assignment", "ex1_tensors", "--json", "--seed", "7") == 0
    assert json.loads(capsys.readouterr().out) == replace(samples.typical(), name="ex1_tensors").to_json()
    assert checker["seed"] == 7
    assert main(course, "check", path, path, "-a", "ex1_tensors", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_check_for_people_names_score_mistake_and_message(course, checker, capsys, tmp_path):
    path = course.source_notebooks("ex1_tensors")[0]
    other = tmp_path / "other" / "ex1_tensors.ipynb"
    other.parent.mkdir()
    other.write_text("{}")
    pages = tmp_path / "pages"
    assert main(course, "check", path, other, "-a", "ex1_tensors", "--feedback", pages) == 0
    out = capsys.readouterr().out
    for said in (
        "5/13  TIMEOUT",
        "✓ make_tensors  3/3",
        "✗ affine  1/4",
        "[column_bias]",
        "by hand, up to 1",
        "in-kernel",
    ):
        assert said in out
    assert sorted(page.name for page in pages.iterdir()) == ["ex1_tensors-2.html", "ex1_tensors.html"]


def test_check_prints_hostile_text_without_control_characters(course, monkeypatch, capsys):
    monkeypatch.setattr(schedule, "check_files", lambda *_, **__: iter([samples.hostile()]))
    path = course.source_notebooks("ex1_tensors")[0]
    assert main(course, "check", path, "-a", "ex1_tensors") == 0
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", capsys.readouterr().out)
    monkeypatch.setattr(schedule, "check_files", lambda *_, **__: iter([samples.hostile()]))
    assert main(course, "check", path, "-a", "ex1_tensors", "--json") == 0
    json.loads(capsys.readouterr().out)


# -- the demo's class


def test_the_demo_class_is_what_it_promises():
    known = {item.name: item for item in golden.load_all(ROOT / "tests" / "golden" / demo.ASSIGNMENT)}
    assert set(demo.CLASS) <= set(known)
    assert len(demo.CLASS) >= 12 and len(set(demo.CLASS)) == len(demo.CLASS)
    assert sum(bool(known[name].expected.mistakes) for name in demo.CLASS) >= 5
    assert sum(name.startswith("unusual") for name in demo.CLASS) >= 3


# -- the real engine


def test_release_grade_and_feedback_end_to_end(tmp_path):
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n")
    cells = [
        nb.locked("title", "# Sums"),
        nb.solution("add", "def add(a, b):\n    ### BEGIN SOLUTION\n    return a + b\n    ### END SOLUTION"),
        nb.graded(
            "add",
            2,
            "assert add(2, 3) == 5\n### BEGIN HIDDEN TESTS\nassert add(-1, 1) == 0\n### END HIDDEN TESTS",
        ),
    ]
    nb.write(tmp_path / "source" / "sums" / "sums.ipynb", cells)
    done = run("release", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sums: 1 tasks, 2 points" in done.stdout
    assert run("release", "--check", cwd=tmp_path).returncode == 0

    released = (tmp_path / "release" / "sums" / "sums.ipynb").read_text()
    for student, text in {
        "ada": released.replace("raise NotImplementedError()", "return a + b"),
        "bob": released,
        "cut": released[: len(released) // 2],
    }.items():
        folder = tmp_path / "submitted" / student / "sums"
        folder.mkdir(parents=True)
        (folder / "sums.ipynb").write_text(text)
    done = run("grade", "--json", "--workers", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    scores = {item["student"]: item["score"] for item in json.loads(done.stdout)}
    assert scores == {"ada": 2.0, "bob": 0.0, "cut": 0.0}
    for student in scores:
        page = (tmp_path / "feedback" / student / "sums" / "sums.html").read_text()
        assert "add(-1, 1)" not in page
        assert (tmp_path / "autograded" / student / "sums" / "sums.ipynb").is_file()
    done = run("grade", cwd=tmp_path)
    assert done.returncode == 0 and "3 graded already" in done.stderr
    done = run("replay", "bob", "sums", cwd=tmp_path)
    assert done.returncode == 0 and "the same verdict, the same messages in 1 tasks" in done.stdout


def test_check_gives_the_solution_full_points_and_the_release_none():
    solution, release = (
        ROOT / kind / "ex1_tensors" / "ex1_tensors.ipynb" for kind in ("solutions", "release")
    )
    done = run("check", solution, release, "--assignment", "ex1_tensors", "--json")
    assert done.returncode == 0, done.stderr
    full, empty = json.loads(done.stdout)
    assert (full["score"], full["max_score"], full["outcome"]) == (20.0, 20.0, "PASSED")
    assert empty["score"] == 0.0
    assert [task["id"] for task in full["tasks"]] == [task["id"] for task in empty["tasks"]]
    assert full["outcome"] == Outcome.PASSED.value
