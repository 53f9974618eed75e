"""Killed, full, locked, read-only: no score is lost, doubled or half-written, and no work is done twice."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from autograder import batch, cli, config, gradebook, keys, ledger, schedule, staging, writing
from autograder.errors import GradebookError, StorageError
from autograder.keys import Conditions, Keys
from autograder.layout import Course
from autograder.limits import Limits
from autograder.models import Outcome, SubmissionResult
from autograder.notebook import sha256
from autograder.release import release
from benchmarks import kill_grader
from tests.support_nbgrader import cell, course_cells, grade_in_process, nbgrader, write

ROOT = Path(__file__).resolve().parents[1]
HOW = Conditions(Limits(), b"secret" * 6)
STUDENTS = ("ada", "bob", "eve")
PLACE = "ex/ex.ipynb"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with one assignment of two notebooks, and three submissions."""
    root = tmp_path_factory.mktemp("released")
    write(root / "source" / "ex" / "ex.ipynb", course_cells())
    project = cell("markdown", "Build it.", "p", grade_id="project", task=True, locked=True, points=4)
    write(root / "source" / "ex" / "more.ipynb", [project])
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    release(Course(root), grade=grade_in_process)
    for number, student in enumerate(STUDENTS):
        hand_in(Course(root), student, f"def double(x):\n    return x * {number + 1}")
    return root


@pytest.fixture
def course(released: Path, tmp_path: Path) -> Course:
    shutil.copytree(released, tmp_path, dirs_exist_ok=True)
    return Course(tmp_path, tmp_path / "suites")


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engine without sandbox and suite; the list of students that it was asked for."""
    seen: list[str] = []

    def grade(course: Course, jobs: list[schedule.Job], **_: object):
        for job in jobs:
            seen.append(job.student)
            yield result_of(job)

    digest = keys.engine_digest()
    monkeypatch.setattr(keys, "engine_digest", lambda: digest)  # somebody may be editing the engine right now
    monkeypatch.setattr(batch, "grade_submissions", grade)
    monkeypatch.setattr(batch, "Recorder", functools.partial(gradebook.Recorder, busy_s=0.1))
    return seen


def hand_in(course: Course, student: str, double: str) -> None:
    folder = course.submitted(student, "ex")
    shutil.copytree(course.release_dir("ex"), folder, dirs_exist_ok=True)
    nb = json.loads((folder / "ex.ipynb").read_text())
    for item in nb["cells"]:
        if item["metadata"].get("nbgrader", {}).get("grade_id") == "solution-double":
            item["source"] = double
    (folder / "ex.ipynb").write_text(json.dumps(nb))


def result_of(job: schedule.Job) -> SubmissionResult:
    paths = [job.path / f"{name}.ipynb" for name in ("ex", "more")]
    results = [
        replace(grade_in_process("ex", path), notebook_sha256=sha256(path.read_bytes())) for path in paths
    ]
    return SubmissionResult("ex", job.student, tuple(results))


def todo(course: Course) -> list[schedule.Job]:
    return batch.jobs(course, ["ex"])[0]


def missing(course: Course, how: Conditions = HOW) -> list[str]:
    return [job.student for job in batch.pending(course, todo(course), how)]


def grade(course: Course, how: Conditions = HOW, *, force: bool = False) -> list[batch.Graded]:
    jobs = todo(course) if force else batch.pending(course, todo(course), how)
    options = {name: getattr(how, name) for name in ("limits", "secret", "device", "sandbox", "data")}
    return list(batch.grade(course, jobs, workers=1, **options))


def whole(course: Course) -> kill_grader.State:
    return kill_grader.state(course, STUDENTS)


# -- content keys


def test_what_has_its_score_is_not_run_again(course, engine):
    assert missing(course) == [*STUDENTS]
    assert all(item.problem == "" and len(item.pages) == 2 for item in grade(course))
    for path in course.submitted("ada", "ex").iterdir():
        os.utime(path, (2e9, 2e9))
    assert missing(course) == [] and grade(course) == []
    hand_in(course, "bob", "double = None")
    (course.submitted("eve", "ex") / "notes.txt").write_text("mine")
    (course.submitted("ada", "ex") / "timestamp.txt").write_text("2026-05-01 12:00:00 UTC")
    assert missing(course) == ["bob", "eve"]
    grade(course)
    assert engine == [*STUDENTS, "bob", "eve"] and missing(course) == []
    assert len(grade(course, force=True)) == 3


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("limits", {"limits": Limits(cell_wall_s=7)}),
        ("secret", {"secret": b"another secret of 32 bytes length"}),
        ("device", {"device": "cuda"}),
        ("sandbox", {"sandbox": False}),
    ],
)
def test_other_conditions_are_another_key(course, part, change):
    grade(course)
    other = replace(HOW, **change)
    assert missing(course, other) == [*STUDENTS]
    job = todo(course)[0]
    pair = [Keys(course, how).of("ex", job.path) for how in (HOW, other)]
    assert keys.changed(*pair) == (part,)
    assert HOW.secret.hex() not in json.dumps(pair) and "secret" * 6 not in json.dumps(pair)


def test_the_versions_are_those_of_the_packages_metadata(tmp_path, monkeypatch):
    right = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in keys._LIBRARIES)
    keys._libraries.cache_clear()
    assert keys._libraries() == f"python {platform.python_version()}, {right}"
    monkeypatch.setattr(sys, "path", [str(tmp_path / "not there"), str(tmp_path)])
    (tmp_path / "Torch-9.1+local.dist-info").mkdir()
    (tmp_path / "scikit_learn-8.0.dist-info").mkdir()
    (tmp_path / "numpy-3.egg-info").mkdir()
    (tmp_path / "numpy-3.egg-info" / "PKG-INFO").write_text("Name: numpy\nVersion: 3\n")
    keys._libraries.cache_clear()
    found = keys._libraries().split(", ")[1:5]
    keys._libraries.cache_clear()
    assert found == ["torch 9.1+local", "numpy 3", "scipy none", "scikit-learn 8.0"]


def test_a_changed_suite_source_or_engine_is_another_key(course, monkeypatch):
    job = todo(course)[0]
    other = course.root / "source" / "other" / "other.ipynb"
    write(other, course_cells())

    def key(assignment="ex"):
        return Keys(course, HOW).of(assignment, job.path)

    before, untouched = key(), key("other")
    suite = course.suite_dir("ex")
    suite.mkdir(parents=True)
    (suite / "test_it.py").write_text("x = 1")
    assert keys.changed(before, key()) == ("suite",)
    assert key("other") == untouched
    assert keys.changed(before, key()) == ("suite",)
    source = course.source_dir("ex") / "ex.ipynb"
    source.write_text(source.read_text().replace("twice", "two times"))
    assert keys.changed(before, key()) == ("suite", "source")
    monkeypatch.setattr(keys, "engine_digest", lambda: "f" * 64)
    assert keys.changed(before, key()) == ("suite", "source", "engine")
    for text, data in {
        "fetch_openml('mnist_784')": "mnist",
        "fetch_california_housing()": "california",
    }.items():
        source.write_text(json.dumps({"cells": [text]}))
        assert key()["data"].startswith(data)
    assert keys.suite_digest(suite) != keys.suite_digest(course.root / "source")


def test_the_bytes_that_were_graded_count_not_those_that_lie_there_now(course, monkeypatch):
    def late(course: Course, jobs: list[schedule.Job], **_: object):
        for job in jobs:
            result = result_of(job)
            if job.student == "ada":
                hand_in(course, "ada", "def double(x):\n    return 'late'")
            yield result

    monkeypatch.setattr(batch, "grade_submissions", late)
    grade(course)
    assert missing(course) == ["ada"]


def test_an_engine_that_changes_under_the_judge_counts_as_unknown(course, monkeypatch):
    digests = iter("abc")
    monkeypatch.setattr(keys, "engine_digest", lambda: next(digests))
    runner = batch.Runner(course, HOW, todo(course))
    items = list(runner.store(runner.results(1)))
    assert {item.key["engine"] for item in items} == {"changed while it was grading"}
    monkeypatch.setattr(keys, "engine_digest", lambda: "b")
    assert missing(course) == [*STUDENTS]


def test_an_unchanged_class_needs_neither_torch_nor_nbgrader(course):
    grade(course)
    code = (
        "import sys, pathlib; from autograder import batch, keys; from autograder.layout import Course\n"
        "from autograder.limits import Limits\n"
        f"root = pathlib.Path({str(course.root)!r}); course = Course(root, root / 'suites')\n"
        "todo, _ = batch.jobs(course, ['ex'])\n"
        f"how = keys.Conditions(Limits(), {HOW.secret!r})\n"
        f"keys.engine_digest = lambda: {keys.engine_digest()!r}\n"
        "assert batch.pending(course, todo, how) == [] and list(batch.grade(course, [], workers=1, "
        "limits=how.limits, secret=how.secret)) == []\n"
        "print([name for name in ('torch', 'numpy', 'nbgrader', 'sqlalchemy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


# -- rows, notebook and page are there and belong together


@pytest.mark.parametrize("kind", ["page gone", "page empty", "notebook gone", "notebook of another"])
def test_a_submission_whose_files_are_not_its_own_is_graded_again(course, kind):
    grade(course)
    page = course.feedback_dir("bob", "ex") / "ex.html"
    nb = course.autograded_dir("bob", "ex") / "ex.ipynb"
    if kind == "page gone":
        page.unlink()
    elif kind == "page empty":
        page.write_text("")
    elif kind == "notebook gone":
        shutil.rmtree(nb.parent)
    else:
        nb.unlink()
        shutil.copyfile(course.autograded_dir("ada", "ex") / "ex.ipynb", nb)
    assert missing(course) == ["bob"]
    before = whole(course)
    grade(course)
    assert missing(course) == [] and whole(course).rows == before.rows


def test_a_page_of_nbgrader_s_own_is_left_in_peace(course):
    grade(course)
    (course.feedback_dir("bob", "ex") / "ex.html").write_text("nbgrader generate_feedback")
    assert missing(course) == []


def test_rows_that_are_gone_are_made_again(course, released):
    from nbgrader.api import Gradebook

    grade(course)
    expected = whole(course)
    with Gradebook(f"sqlite:///{course.gradebook_path}", "") as database:
        database.remove_student("ada")
    assert missing(course) == ["ada"]
    grade(course)
    assert whole(course) == expected
    shutil.copyfile(released / "gradebook.db", course.gradebook_path)  # an old backup
    assert missing(course) == [*STUDENTS]
    grade(course)
    assert whole(course) == expected


def test_an_engine_error_is_no_grading(course, monkeypatch):
    grade(course)
    expected = whole(course)
    hand_in(course, "ada", "double = 0")

    def broken(course: Course, jobs: list[schedule.Job], **_: object):
        for job in jobs:
            first, second = result_of(job).notebooks
            failed = replace(first, outcome=Outcome.ENGINE_ERROR, score=None, message="no sandbox")
            yield SubmissionResult("ex", job.student, (failed, second))

    monkeypatch.setattr(batch, "grade_submissions", broken)
    grade(course)
    assert missing(course) == ["ada"] and whole(course) == expected


def test_nbgrader_carries_the_ledger_along(course, released):
    for path in (released / "gradebook.db", ROOT / "gradebook.db"):
        with closing(sqlite3.connect(path)) as database:
            assert not database.execute(
                "select 1 from sqlite_master where name = ?", [ledger.TABLE]
            ).fetchall()
    grade(course)
    nbgrader(course.root, "db", "upgrade")
    assert missing(course) == []
    release(Course(course.root), grade=grade_in_process)
    assert missing(course) == []


# -- killed


def steps(course: Course, number: int) -> bool:
    """Grade in a forked process that is killed at its ``number``-th step of writing; whether it was."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    try:
        count = 0

        def step() -> None:
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

        def before(function):
            @functools.wraps(function)
            def stepping(*arguments, **options):
                step()
                return function(*arguments, **options)

            return stepping

        for name in ("replace", "fsync", "fchmod", "ftruncate", "open", "mkdir"):
            setattr(os, name, before(getattr(os, name)))
        Path.unlink = before(Path.unlink)
        gradebook.Recorder._write_rows = before(gradebook.Recorder._write_rows)
        gradebook.Recorder._write_entry = before(gradebook.Recorder._write_entry)
        from sqlalchemy.orm import Session

        Session.commit = before(Session.commit)
        Session.rollback = before(Session.rollback)
        staging.Staging.publish = before(staging.Staging.publish)
        grade(course)
        os._exit(0)
    finally:
        os._exit(4)


@pytest.mark.parametrize("older", [False, True], ids=["from nothing", "over older scores"])
def test_killed_at_every_single_step(course, tmp_path_factory, older):
    home = tmp_path_factory.mktemp("kept")
    for student in STUDENTS[1:]:
        shutil.rmtree(course.root / "submitted" / student)
    if older:
        hand_in(course, "ada", "def double(x):\n    return x + 1")
        grade(course)
    kill_grader.keep(course, home / "before")
    old = whole(course)
    if older:
        hand_in(course, "ada", "def double(x):\n    return x * 2")
    grade(course)
    arena = kill_grader.Arena(course, HOW, lambda when: (None, False), old=old, new=whole(course))
    number = 0
    while True:
        number += 1
        kill_grader.put_back(course, home / "before")
        if not steps(course, number):
            break
        done = arena.check(older)
        assert len(grade(course)) == 1 - len(done), f"step {number}"
        assert arena.check(older) == {"ada"} and kill_grader.drafts(course) == [], f"step {number}"
    assert number > 25


def test_killed_at_random(course):
    shutil.copytree(course.root, course.root / "nothing", ignore=shutil.ignore_patterns("nothing"))
    results = [result_of(job) for job in todo(course)]
    grade(course)
    expected = whole(course)
    kill_grader.put_back(course, course.root / "nothing")
    began = time.monotonic()
    kill_grader.writing(course, HOW, results)(None)
    took = time.monotonic() - began  # on a slow machine and on a fast one the kills have to hit the writing
    run = kill_grader.writing(course, HOW, results, 0.7 * took)
    arena = kill_grader.Arena(course, HOW, run, new=expected)
    for seed in range(100):
        if arena.kills >= 5:
            break
        kill_grader.put_back(course, course.root / "nothing")
        arena.round(5 - arena.kills, random.Random(seed), older=False)
    assert arena.kills >= 5


def test_what_killed_runs_left_is_removed_even_when_nothing_is_to_do(course):
    grade(course)
    left = [
        course.autograded_dir("ada", "ex") / ".0123456789abcdef.77.tmp",
        course.feedback_dir("ada", "ex") / ".ab_cd3f0.part",
        course.state_dir / "secret.77.01234567",
    ]
    kept = course.autograded_dir("ada", "ex") / ".notes.tmp"
    for path in (*left, kept):
        path.write_text("half")
    assert grade(course) == [] and left[0].exists()  # the last run ended well: nobody looks
    (course.state_dir / "writer").write_text("process 77 since noon")
    assert grade(course) == []
    assert not any(path.exists() for path in left) and kept.exists()


# -- one writer


def test_a_second_grader_is_told_who_is_first(course, monkeypatch, capsys):
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        with writing.one_writer(course):
            os.write(ready[1], b"x")
            os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    before = whole(course)
    with pytest.raises(GradebookError, match=rf"another autograder .*process {pid}.*wait until it has ended"):
        grade(course)
    monkeypatch.setattr(config.Config, "secret", lambda self: HOW.secret)
    assert cli.main(["grade", "--course", str(course.root)]) == 1
    assert f"process {pid}" in capsys.readouterr().err
    assert whole(course) == before
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert len(grade(course)) == 3  # the lock went with its holder


# -- a machine that does not take it


def test_a_locked_database_ends_the_batch_with_a_cure(course, engine):
    before = whole(course)
    with closing(sqlite3.connect(course.gradebook_path)) as other:
        other.execute("begin immediate")
        started = time.monotonic()
        with pytest.raises(StorageError, match=r"locked.*wait or close it, then grade again$"):
            grade(course)
        assert time.monotonic() - started < 5 and engine == []  # before anything was run
        other.rollback()
    assert whole(course) == before and kill_grader.drafts(course) == []
    with closing(sqlite3.connect(course.gradebook_path)) as other:
        jobs = todo(course)
        given = batch.grade(course, jobs, workers=1, limits=HOW.limits, secret=HOW.secret)
        next(given)
        between = whole(course)
        other.execute("begin immediate")
        with pytest.raises(StorageError, match="wait or close it"):
            next(given)
        other.rollback()
    assert whole(course) == between and kill_grader.drafts(course) == []
    assert missing(course) == ["bob", "eve"]


@pytest.fixture
def disk(course, tmp_path):
    """The course on a small disk of its own: gives the course there."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        for name in ("source", "release", "submitted"):
            shutil.copytree(course.root / name, place / name)
        for name in ("gradebook.db", "nbgrader_config.py"):
            shutil.copyfile(course.root / name, place / name)
        yield Course(place, place / "suites")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(course: Course, left_kb: int) -> Path:
    """A file that leaves ``left_kb`` KiB of the disk."""
    path = course.root / "filler"
    free = os.statvfs(course.root).f_bavail * os.statvfs(course.root).f_frsize
    with open(path, "wb") as file:
        file.write(b"x" * max(0, free - left_kb * 1024))
    return path


@pytest.mark.parametrize("left_kb", [0, 4, 12, 24, 40, 60, 90])
def test_a_full_disk_leaves_everything_as_it_was(disk, left_kb):
    before = whole(disk)
    disk.state_dir.mkdir()
    filler = fill(disk, left_kb)
    try:
        grade(disk)
    except StorageError as error:
        assert "make room" in str(error), error
        assert kill_grader.drafts(disk) == []
        now = whole(disk)
        for student in missing(disk):
            assert (now.rows[student], now.files[student]) == (before.rows[student], before.files[student])
    else:
        assert left_kb > 50
    filler.unlink()
    grade(disk)
    assert missing(disk) == []


def test_a_read_only_folder_is_named_before_anything_is_run(disk, engine, capsys, monkeypatch):
    before = whole(disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk.root)], check=True)
    with pytest.raises(StorageError, match=r"Read-only file system.*give write access"):
        grade(disk)
    assert cli.main(["grade", "--course", str(disk.root)]) == 2
    assert "course secret" in capsys.readouterr().err
    subprocess.run(["mount", "-o", "remount,rw", str(disk.root)], check=True)
    assert engine == [] and whole(disk) == before


def test_a_folder_that_may_not_be_written_is_named(course, monkeypatch, engine):
    (course.root / "feedback").mkdir()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "feedback" not in str(path) and real(path, mode))
    with pytest.raises(StorageError, match=r"feedback is read-only; run: chmod u\+w"):
        grade(course)
    assert engine == []


def test_something_in_the_way_costs_one_student_and_leaves_no_draft(course):
    (course.autograded_dir("bob", "ex") / "ex.ipynb").mkdir(parents=True)
    given = {item.result.student: item.problem for item in grade(course)}
    assert given["ada"] == given["eve"] == "" and "ex.ipynb away, then grade again" in given["bob"]
    assert kill_grader.drafts(course) == [] and missing(course) == ["bob"]
    assert kill_grader.state(course, STUDENTS).rows["bob"]["submissions"] == []


# -- the same, however often and with however many


def test_the_same_class_gets_the_same_from_two_workers_and_from_four(checker, tmp_path):
    from autograder import golden

    settings = config.load(ROOT)
    known = {item.name: item for item in golden.load_all(settings.course.golden_dir("ex1_tensors"))}
    names = ("solution", "unusual_01", "affine-column_bias", "elementwise-in_place", "accident-stderr")
    jobs = []
    for name in names:
        (tmp_path / f"{name}.ipynb").write_bytes(known[name].notebook_bytes(settings.course))
        jobs.append(schedule.FileJob("ex1_tensors", tmp_path / f"{name}.ipynb"))

    def told(pool) -> dict[str, object]:
        return {
            job.path.stem: [
                result.to_json()[part] for part in ("tasks", "score", "outcome", "message", "notices")
            ]
            for job, result in pool.map(jobs)
        }

    first = told(checker)
    assert told(checker) == first
    with schedule.Checker(settings.course, ["ex1_tensors"], limits=settings.limits, workers=4) as four:
        assert told(four) == first
