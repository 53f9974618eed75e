"""Who would gain or lose by a change, before it is written; and a stored result repeated."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from autograder import batch, cli, differences, keys, ledger, replay, schedule
from autograder.layout import Course
from autograder.models import CheckResult, Explanation, NotebookResult, Outcome, SubmissionResult, TaskResult
from autograder.notebook import sha256
from autograder.release import release
from tests import samples
from tests.support_nbgrader import course_cells, grade_in_process, write

STUDENTS = ("ada", "bob", "eve")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("released")
    write(root / "source" / "ex" / "ex.ipynb", course_cells())
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    release(Course(root), grade=grade_in_process)
    for student in STUDENTS:
        folder = root / "submitted" / student / "ex"
        shutil.copytree(root / "release" / "ex", folder)
        text = (folder / "ex.ipynb").read_text()
        (folder / "ex.ipynb").write_text(text.replace('"# Double', f'"# Double, by {student}'))
    return root


class Engine(dict):
    """Student to points of the task ``double``; the words of the failure are ``words``."""

    words = "twice is wrong"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    verdicts = Engine(ada=0.0, bob=2.0, eve=1.0)

    def grade(course: Course, jobs: list[schedule.Job], **how: object):
        for job in jobs:
            path = job.path / "ex.ipynb"
            digest = sha256(path.read_bytes())
            result = replace(grade_in_process("ex", path), notebook_sha256=digest, seed=5)
            yield SubmissionResult("ex", job.student, (judged(result, verdicts, job.student),))

    digest = keys.engine_digest()
    monkeypatch.setattr(keys, "engine_digest", lambda: digest)
    monkeypatch.setattr(batch, "grade_submissions", grade)
    monkeypatch.setattr(replay, "grade_submissions", grade)
    return verdicts


def judged(result: NotebookResult, verdicts: Engine, student: str) -> NotebookResult:
    score = verdicts[student]
    told = Explanation(verdicts.words, got="4\n5") if score < 2 else None
    outcome = Outcome.FAILED if told else Outcome.PASSED
    check = CheckResult("test_double", "double", outcome, 2.0, score, told, "added" if told else None, seed=9)
    tasks = tuple(
        TaskResult(task.id, task.kind, score, task.max_score, (check,)) if task.id == "double" else task
        for task in result.tasks
    )
    total = sum(task.score or 0.0 for task in tasks)
    return replace(result, tasks=tasks, score=total, outcome=outcome)


@pytest.fixture
def course(released: Path, tmp_path: Path, engine: Engine) -> Course:
    shutil.copytree(released, tmp_path, dirs_exist_ok=True)
    made = Course(tmp_path)
    assert run(made, "grade") == 0
    return made


def run(course: Course, command: str, *arguments: str) -> int:
    return cli.main([command, "--course", str(course.root), *arguments])


def new_suite(course: Course, text: str = "x = 1") -> None:
    folder = course.root / "autograder" / "suites" / "ex"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test_it.py").write_text(text)


def content(course: Course) -> list[object]:
    files = [path.read_bytes() for path in sorted((course.root / "feedback").rglob("*.html"))]
    with closing(sqlite3.connect(course.gradebook_path)) as database:
        return [files, database.execute("select * from grade order by id").fetchall()]


# -- regrade


def test_a_dry_run_says_who_gains_and_loses_and_why_and_writes_nothing(course, engine, capsys):
    new_suite(course)
    engine.update(ada=2.0, bob=0.5)
    before = content(course)
    capsys.readouterr()
    assert run(course, "regrade", "--dry-run", "ex") == 0
    out = capsys.readouterr().out
    assert "ada ex  0 → 2  (+2)  changed: the suite" in out
    assert "    double  0 → 2 of 2" in out
    assert "test_double: FAILED [added] → PASSED" in out
    assert "bob ex  2 → 0.5  (-1.5)" in out
    assert "test_double: PASSED → FAILED [added]: twice is wrong" in out
    assert "eve" not in out
    assert "3 graded again: 1 gain 2 points, 1 lose 1.5, 1 keep their points" in out
    assert out.endswith("nothing was written\n") and content(course) == before


def test_yes_writes_what_was_shown_and_the_next_has_nothing_to_do(course, engine, capsys):
    new_suite(course)
    engine.update(ada=2.0)
    assert run(course, "regrade", "--yes") == 0
    assert "3 submissions were written" in capsys.readouterr().out
    assert ledger.auto_scores(course, "ada", "ex")["double"] == (2.0, None)
    engine.clear()  # it would fail if it were asked again
    assert run(course, "regrade", "--dry-run") == 0
    assert "nothing to regrade" in capsys.readouterr().out
    assert run(course, "grade") == 0
    assert "3 graded already" in capsys.readouterr().err


@pytest.mark.parametrize(("said", "written"), [("n", False), ("", False), ("y", True)])
def test_it_asks_before_it_writes(course, engine, capsys, monkeypatch, said, written):
    new_suite(course)
    engine.update(ada=2.0)
    before = content(course)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: said)
    assert run(course, "regrade") == 0
    assert (content(course) != before) is written
    assert ("nothing was written" in capsys.readouterr().out) is not written


def test_without_a_terminal_it_wants_to_be_told(course, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert run(course, "regrade") == 2
    assert "--dry-run or --yes" in capsys.readouterr().err


def test_points_by_hand_stay_and_are_not_counted(course, engine, capsys):
    with closing(sqlite3.connect(course.gradebook_path)) as database, database:
        database.execute(
            "update grade set manual_score = 1.5"
            " where cell_id in (select id from base_cell where name = 'double')"
        )
    engine.update(ada=2.0)
    assert run(course, "regrade", "--dry-run", "--force", "--student", "ada") == 0
    out = capsys.readouterr().out
    assert "ada ex  1.5 → 1.5  (±0)  changed: nothing" in out
    assert "double  0 → 2 of 2; the points given by hand stay" in out


def test_scores_without_a_record_are_compared_by_their_points(course, engine, capsys):
    with closing(sqlite3.connect(course.gradebook_path)) as database, database:
        database.execute(f"drop table {ledger.TABLE}")
    shutil.copytree(course.submitted("ada", "ex"), course.submitted("new", "ex"))
    engine.update(ada=2.0, new=0.0)
    assert run(course, "regrade", "--dry-run") == 0
    out, err = capsys.readouterr()
    assert "ada ex  0 → 2  (+2)  changed: it was graded without a record" in out
    assert "1 gain 2 points, 0 lose 0, 2 keep" in out and "1 were never graded" in err


def test_what_the_engine_cannot_grade_now_keeps_its_points(course, engine, capsys, monkeypatch):
    new_suite(course)

    def broken(course: Course, jobs: list[schedule.Job], **_: object):
        for job in jobs:
            yield SubmissionResult("ex", job.student, (replace(samples.engine_error(), name="ex"),))

    monkeypatch.setattr(batch, "grade_submissions", broken)
    before = content(course)
    assert run(course, "regrade", "--yes", "--student", "ada") == 1
    assert "ada ex: could not be graded now; keeps its scores" in capsys.readouterr().out
    assert content(course) == before


# -- replay


def test_a_replay_of_the_same_is_the_same(course, capsys):
    assert run(course, "replay", "ada", "ex") == 0
    out = capsys.readouterr().out
    assert "score 0 → 0: the same verdict, the same messages in 3 tasks" in out and "no longer" not in out


def test_a_replay_names_the_verdict_that_differs_and_the_facts_that_do_not_hold(course, engine, capsys):
    engine.update(ada=2.0)
    assert run(course, "replay", "ada", "ex") == 1
    out = capsys.readouterr().out
    assert "double: 0 → 2 of 2" in out and "test_double: FAILED [added] → PASSED" in out
    assert "score 0 → 2: the verdict differs in 1 of 3 tasks" in out
    assert "every stored fact holds" in out
    new_suite(course)
    path = course.submitted("ada", "ex") / "ex.ipynb"
    path.write_text(path.read_text() + " ")
    (course.root / "pyproject.toml").write_text("[tool.autograder.limits]\ncell_wall_s = 7\n")
    before = content(course)
    assert run(course, "replay", "ada", "ex") == 1
    out = capsys.readouterr().out
    assert "no longer holds: the submitted notebook: now ex " in out and "no longer holds: the suite" in out
    assert "the limits" not in out, "it is repeated with the stored ones"
    assert "every stored fact" not in out and content(course) == before


def test_other_words_are_told_and_are_no_other_verdict(course, engine, capsys):
    engine.words = "two times is wrong"
    assert run(course, "replay", "ada", "ex") == 0
    out = capsys.readouterr().out
    assert "the message reads 'two times is wrong', it read 'twice is wrong'" in out
    assert "other words, the same verdict" in out


def test_what_cannot_be_replayed_says_what_to_do(course, capsys):
    assert run(course, "replay", "zoe", "ex") == 2
    assert "run: autograder grade ex --student zoe" in capsys.readouterr().err
    assert run(course, "replay", "ada", "ex9") == 2
    shutil.rmtree(course.submitted("ada", "ex"))
    assert run(course, "replay", "ada", "ex") == 2
    assert "put it back" in capsys.readouterr().err


def test_a_stored_result_holds_what_is_needed_to_repeat_it(course):
    entry = ledger.entries(course)["ada", "ex"]
    assert list(entry.key) == list(keys.MEANING)
    assert json.loads(entry.key["notebook"]) == {
        "ex": sha256((course.submitted("ada", "ex") / "ex.ipynb").read_bytes())
    }
    assert json.loads(entry.key["limits"])["cell_wall_s"] == 30.0 and entry.key["device"] == "cpu"
    assert "torch" in entry.key["libraries"] and len(entry.key["engine"]) == 20
    (notebook,) = ledger.result_of(course, "ada", "ex") or []
    assert notebook["seed"] == 5 and notebook["tasks"][0]["checks"][0]["seed"] == 9
    assert notebook["notebook_sha256"] == json.loads(entry.key["notebook"])["ex"]
    assert ledger.result_of(course, "zoe", "ex") is None


def test_grade_json_names_the_key(course, capsys):
    assert run(course, "grade", "--json", "--force", "--student", "bob") == 0
    (only,) = json.loads(capsys.readouterr().out)
    assert only["key"] == dict(ledger.entries(course)["bob", "ex"].key)


# -- differences


def test_the_same_result_has_no_difference():
    made = [samples.typical().to_json()]
    assert differences.task_changes(made, made) == () and differences.notes(made, made) == []


def test_differences_are_found_in_tasks_checks_cells_and_notices():
    before, after = [samples.typical().to_json()], [samples.perfect().to_json()]
    changes = {change.id: change for change in differences.task_changes(before, after)}
    assert changes["affine"].verdict and (changes["affine"].before, changes["affine"].after) == (1.0, 4.0)
    texts = [check.text() for check in changes["affine"].checks]
    assert "test_affine_any_shape: FAILED [column_bias] → no such check" in texts
    assert "test_affine_values: no such check → PASSED" in texts
    assert "why" not in changes, "nobody gave points for it before or after"
    said = "\n".join(differences.notes(before, after))
    assert "outcome 'TIMEOUT' → 'PASSED'" in said and "cell 15: TIMEOUT" in said and "notices" in said


def test_another_seed_alone_is_told():
    one = samples.typical().to_json()
    other = json.loads(json.dumps(one))
    other["tasks"][0]["checks"][0]["seed"] = 1
    (change,) = differences.task_changes([one], [other])
    assert not change.verdict and len(change.checks) == 1
