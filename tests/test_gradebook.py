from __future__ import annotations

import copy
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest

from autograder import feedback, upkeep
from autograder.errors import GradebookError, UsageError
from autograder.gradebook import Recorder, scores
from autograder.layout import Course
from autograder.models import (
    CheckResult,
    Explanation,
    NotebookResult,
    Outcome,
    SubmissionResult,
    TaskKind,
    TaskResult,
)
from autograder.release import release
from autograder.schedule import Job
from tests.support_nbgrader import cell, course_cells, grade_in_process, nbgrader, notebook, write

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own add_submission


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released course: ``ex`` with a second, tiny notebook and one of nbgrader's task cells."""
    root = tmp_path_factory.mktemp("released")
    write(root / "source" / "ex" / "ex.ipynb", course_cells())
    project = cell("markdown", "Build it.", "p", grade_id="project", task=True, locked=True, points=4)
    write(root / "source" / "ex" / "more.ipynb", [project])
    (root / "source" / "ex" / "data.txt").write_text("the instructor's")
    release(Course(root), grade=grade_in_process)
    return root


@pytest.fixture
def course(released: Path, tmp_path: Path) -> Course:
    shutil.copytree(released, tmp_path, dirs_exist_ok=True)
    return Course(tmp_path)


ANSWERS = {
    "full": {
        "solution-double": "def double(x):\n    return x + x",
        "solution-half": "def half(x):\n    print('half of', x)\n    return x / 2",
        "why": "Because.",
    },
    "part": {"solution-double": "def double(x):\n    return x + x", "why": "Hm."},
    "none": {},
}


def hand_in(course: Course, student: str, answers: Mapping[str, str], *, more: bool = True) -> None:
    """A submission made of the release with ``answers`` in it."""
    folder = course.submitted(student, "ex")
    folder.mkdir(parents=True, exist_ok=True)
    nb = json.loads((course.release_dir("ex") / "ex.ipynb").read_text())
    for item in nb["cells"]:
        item["source"] = answers.get(item["metadata"].get("nbgrader", {}).get("grade_id"), item["source"])
    (folder / "ex.ipynb").write_text(json.dumps(nb))
    if more:
        shutil.copy(course.release_dir("ex") / "more.ipynb", folder)


def graded(course: Course, student: str, *, more: bool = True) -> SubmissionResult:
    names = ("ex", "more") if more else ("ex",)
    results = tuple(
        grade_in_process("ex", course.submitted(student, "ex") / f"{name}.ipynb") for name in names
    )
    return SubmissionResult("ex", student, results)


TABLES = {
    "student": "select id, first_name, last_name, email, lms_user_id from student",
    "submission": "select a.name, s.student_id, s.timestamp, s.extension from submitted_assignment s"
    " join assignment a on a.id = s.assignment_id",
    "notebook": "select s.student_id, n.name, b.flagged, b.late_submission_penalty from submitted_notebook b"
    " join notebook n on n.id = b.notebook_id join submitted_assignment s on s.id = b.assignment_id",
    **{
        table: f"select s.student_id, n.name, c.type, c.name, {columns} from {table} g"
        " join base_cell c on c.id = g.cell_id join submitted_notebook b on b.id = g.notebook_id"
        " join notebook n on n.id = b.notebook_id join submitted_assignment s on s.id = b.assignment_id"
        for table, columns in {
            "grade": "g.auto_score, g.manual_score, g.extra_credit, g.needs_manual_grade",
            "comment": "g.auto_comment, g.manual_comment",
        }.items()
    },
}


def rows(course: Course) -> dict[str, list[tuple[Any, ...]]]:
    """All rows about students, without random ids."""
    with closing(sqlite3.connect(course.gradebook_path)) as database:
        return {table: sorted(database.execute(query), key=repr) for table, query in TABLES.items()}


def grades(course: Course, student: str) -> dict[str, tuple[Any, ...]]:
    """Name to auto score, manual score, extra credit and whether a person must look."""
    return {row[3]: row[4:] for row in rows(course)["grade"] if row[0] == student}


def computed(course: Course, student: str) -> dict[str, Any]:
    """What nbgrader derives from the rows: scores and failed tests."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.gradebook_path}", "") as gradebook:
        submission = gradebook.find_submission("ex", student)
        return {
            item.name: {
                key: value
                for key, value in (item.to_dict() | {"failed": item.failed_tests}).items()
                if key != "id"
            }
            for item in submission.notebooks
        } | {"all": {key: value for key, value in submission.to_dict().items() if key != "id"}}


# ---------------------------------------------------------------- the same as stock nbgrader


@pytest.fixture(scope="module")
def both(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Course, Course]]:
    """One class graded twice: by ``nbgrader autograde`` and by the Recorder."""
    stock = Course(tmp_path_factory.mktemp("stock"))
    shutil.copytree(released, stock.root, dirs_exist_ok=True)
    for student, answers in ANSWERS.items():
        hand_in(stock, student, answers, more=student != "part")
    folder = stock.submitted("full", "ex")
    (folder / "timestamp.txt").write_text("2026-05-01 12:30:00.5 CEST\n")
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").write_text("notes")
    (folder / "data.txt").write_text("the student's")
    ours = Course(tmp_path_factory.mktemp("ours"))
    shutil.copytree(stock.root, ours.root, dirs_exist_ok=True)
    nbgrader(stock.root, "autograde", "ex")
    with Recorder(ours) as recorder:
        for student, _ in ours.submissions("ex"):
            assert recorder.record(graded(ours, student, more=student != "part"))
    yield stock, ours


def test_the_rows_are_those_of_nbgrader_autograde(both: tuple[Course, Course]) -> None:
    stock, ours = both
    expected = rows(stock)
    assert len(expected["grade"]) == 12 and len(expected["comment"]) == 12
    assert rows(ours) == expected
    for student in ANSWERS:
        assert computed(ours, student) == computed(stock, student)
    assert computed(ours, "full")["ex"]["score"] == 5.0
    assert computed(ours, "part")["ex"]["failed"] is True
    assert grades(ours, "part")["why"] == (None, None, None, 1)
    assert grades(ours, "none")["why"] == (0.0, None, None, 0)


def test_the_files_are_those_of_nbgrader_autograde(both: tuple[Course, Course]) -> None:
    stock, ours = both
    listed = [
        sorted(
            (str(path.relative_to(course.root)), oct(path.stat().st_mode))
            for path in (course.root / "autograded").rglob("*")
            if path.is_file()
        )
        for course in both
    ]
    assert listed[0] == listed[1]
    for name, text in {"data.txt": "the instructor's", "notes/mine.txt": "notes"}.items():
        assert (ours.autograded_dir("full", "ex") / name).read_text() == text
    for student in ANSWERS:
        theirs, mine = (read_graded(course, student) for course in (stock, ours))
        assert [item["cell_type"] for item in mine["cells"]] == [
            item["cell_type"] for item in theirs["cells"]
        ]
        for item, other in zip(mine["cells"], theirs["cells"], strict=True):
            assert item["metadata"].get("nbgrader") == other["metadata"].get("nbgrader")


def read_graded(course: Course, student: str, name: str = "ex") -> Any:
    nb = nbformat.read(course.autograded_dir(student, "ex") / f"{name}.ipynb", as_version=4)
    nbformat.validate(nb)
    return nb


def test_nbgrader_reads_the_scores_back_from_the_notebooks(both: tuple[Course, Course]) -> None:
    from nbgrader.utils import determine_grade, is_grade

    _, ours = both
    for student, expected in {"full": [2.0, 3.0], "part": [2.0, 0.0], "none": [0.0, 0.0]}.items():
        cells = read_graded(ours, student)["cells"]
        assert [determine_grade(item)[0] for item in cells if is_grade(item)][:2] == expected


def test_stock_feedback_and_formgrader_s_data_work(both: tuple[Course, Course]) -> None:
    from nbgrader.apps.api import NbGraderAPI

    from autograder.nbgrader_settings import load

    _, ours = both
    nbgrader(ours.root, "generate_feedback", "ex")
    page = (ours.feedback_dir("part", "ex") / "ex.html").read_text()
    assert "AssertionError" in page or "NotImplementedError" in page
    config = load(ours.root)
    config.CourseDirectory.root = str(ours.root)
    api = NbGraderAPI(config=config)
    assert api.get_autograded_students("ex") == set(ANSWERS)
    assert len(api.get_notebook_submissions("ex", "ex")) == 3
    assert api.get_submission("ex", "full")["score"] == 5.0


# ---------------------------------------------------------------- our own rules


def suite_result(
    course: Course, student: str, checks: tuple[CheckResult, ...], score: float
) -> SubmissionResult:
    """The submission with the task ``half`` judged by a suite."""
    result = graded(course, student).notebooks[0]
    task = TaskResult("half", TaskKind.SUITE, score, 3.0, checks)
    return with_task(course, student, result, task)


def with_task(course: Course, student: str, result: NotebookResult, task: TaskResult) -> SubmissionResult:
    tasks = tuple(task if item.id == task.id else item for item in result.tasks)
    more = graded(course, student).notebooks[1]
    return SubmissionResult("ex", student, (replace(result, tasks=tasks), more))


def outputs_of(course: Course, student: str, grade_id: str) -> list[dict[str, Any]]:
    for item in read_graded(course, student)["cells"]:
        if item["metadata"].get("nbgrader", {}).get("grade_id") == grade_id:
            found: list[dict[str, Any]] = item["outputs"]
            return found
    raise AssertionError(grade_id)


def test_suite_tasks_say_their_checks_and_a_number(course: Course) -> None:
    hand_in(course, "ada", ANSWERS["full"])
    told = Explanation("half(<b>3</b>) is wrong", hint="\ud800 & so on")
    checks = (
        CheckResult("half_of_any", "half", Outcome.FAILED, 1.5, 0.0, told),
        CheckResult("half_of_two", "half", Outcome.PASSED, 1.5, 1.5),
    )
    with Recorder(course) as recorder:
        recorder.record(suite_result(course, "ada", checks, 1.5))
    stream, page, number = outputs_of(course, "ada", "half")
    assert stream["name"] == "stdout" and "half(<b>3</b>) is wrong" in stream["text"]
    assert (
        "half(&lt;b&gt;3&lt;/b&gt;)" in page["data"]["text/html"] and "<b>" not in page["data"]["text/html"]
    )
    assert number["output_type"] == "execute_result" and number["data"]["text/plain"] == "1.5"
    assert grades(course, "ada")["half"] == (1.5, None, None, 0)


@pytest.mark.parametrize(
    ("given", "kept"), [(99.0, 3.0), (-1.0, 0.0), (float("nan"), 0.0), (float("inf"), 0.0)]
)
def test_scores_stay_between_zero_and_the_points(course: Course, given: float, kept: float) -> None:
    hand_in(course, "ada", ANSWERS["full"])
    with Recorder(course) as recorder:
        recorder.record(suite_result(course, "ada", (), given))
    assert grades(course, "ada")["half"][0] == kept
    assert outputs_of(course, "ada", "half")[-1]["data"]["text/plain"] == repr(kept)


def test_scores_by_hand_survive_and_ask_for_a_look(course: Course) -> None:
    hand_in(course, "ada", ANSWERS["part"])
    with Recorder(course) as recorder:
        recorder.record(graded(course, "ada"))
        with closing(sqlite3.connect(course.gradebook_path)) as database, database:
            database.execute(
                "update grade set manual_score = 0.5, extra_credit = 0.25, needs_manual_grade = 0"
                " where cell_id in (select id from base_cell where name in ('why', 'half', 'project'))"
            )
            database.execute("update comment set manual_comment = 'Nice.'")
        hand_in(course, "ada", ANSWERS["full"])
        recorder.record(graded(course, "ada"))
    assert grades(course, "ada") == {
        "double": (2.0, None, None, 0),
        "half": (3.0, 0.5, 0.25, 1),
        "why": (None, 0.5, 0.25, 1),
        "project": (None, 0.5, 0.25, 0),
    }
    assert {row[5] for row in rows(course)["comment"]} == {"Nice."}
    assert scores(course, "ex")[0].score == 2.0 + 3 * 0.75


def test_engine_errors_leave_old_scores_and_files_alone(course: Course) -> None:
    hand_in(course, "ada", ANSWERS["full"])
    with Recorder(course) as recorder:
        assert recorder.record(graded(course, "ada"))
        before, file = rows(course), read_graded(course, "ada")
        broken = graded(course, "ada").notebooks[0]
        failed = TaskResult("half", TaskKind.SUITE, None, 3.0)
        result = with_task(course, "ada", replace(broken, score=None, outcome=Outcome.ENGINE_ERROR), failed)
        assert not recorder.record(result)
        assert rows(course) == before and read_graded(course, "ada") == file
        # a student of whom nothing is known yet stays unknown
        assert not recorder.record(replace(result, student="eve", notebooks=result.notebooks[:1]))
    assert rows(course) == before
    assert not course.autograded_dir("eve", "ex").exists()


def test_unreadable_notebooks_get_zero_and_a_message(course: Course) -> None:
    hand_in(course, "ada", ANSWERS["full"])
    whole = graded(course, "ada")
    tasks = tuple(
        replace(task, score=None if task.kind is TaskKind.MANUAL else 0.0, checks=())
        for task in whole.notebooks[0].tasks
    )
    broken = replace(
        whole.notebooks[0], notebook=None, cells=(), tasks=tasks, score=0.0, outcome=Outcome.ERROR,
        message="the file ends in the <script>alert(1)</script> middle *here*",
    )  # fmt: skip
    with Recorder(course) as recorder:
        assert recorder.record(replace(whole, notebooks=(broken, whole.notebooks[1])))
    assert {name: row for name, row in grades(course, "ada").items() if name != "project"} == {
        "double": (0.0, None, None, 0),
        "half": (0.0, None, None, 0),
        "why": (0.0, None, None, 0),
    }
    cells = read_graded(course, "ada")["cells"]
    assert "could not be graded" in cells[0]["source"] and "&lt;script&gt;" in cells[0]["source"]
    nbgrader(course.root, "generate_feedback", "ex")
    page = (course.feedback_dir("ada", "ex") / "ex.html").read_text()
    assert "ends in the" in page and "<script>alert(1)" not in page

    with Recorder(course) as recorder:  # handed in again
        assert recorder.record(whole)
    assert grades(course, "ada")["why"] == (None, None, None, 1)


def test_a_notebook_that_is_not_in_the_result_counts_nothing(course: Course) -> None:
    hand_in(course, "ada", ANSWERS["full"], more=False)
    with Recorder(course) as recorder:
        recorder.record(graded(course, "ada", more=False))
    assert grades(course, "ada")["project"] == (0.0, None, None, 0)


def test_active_content_never_reaches_formgrader(course: Course) -> None:
    hand_in(course, "ada", ANSWERS["full"])
    result = graded(course, "ada").notebooks[0]
    nasty: tuple[Any, ...] = (
        {
            "output_type": "display_data",
            "data": {"text/html": "<script>", "text/plain": "plain"},
            "metadata": 3,
        },
        {"output_type": "display_data", "data": {"image/svg+xml": "<svg onload='x'>"}, "metadata": {}},
        {"output_type": "display_data", "data": {"image/png": '"><script>', "image/jpeg": "aGk="}},
        {"output_type": "execute_result", "data": {"text/plain": ["a", "b"]}, "execution_count": "x"},
        {"output_type": "stream", "name": "evil", "text": "\ud800"},
        {"output_type": "error", "ename": 3, "evalue": None, "traceback": "x"},
        {"output_type": "update_display_data", "data": {}},
        "junk",
    )
    cells = tuple(
        replace(item, outputs=nasty) if item.id == "solution-double" else item for item in result.cells
    )
    with Recorder(course) as recorder:
        recorder.record(SubmissionResult("ex", "ada", (replace(result, cells=cells),)))
    kept = outputs_of(course, "ada", "solution-double")
    assert [sorted(item.get("data", {})) for item in kept] == [
        ["text/plain"],
        ["image/jpeg"],
        ["text/plain"],
        [],
        [],
    ]
    text = (course.autograded_dir("ada", "ex") / "ex.ipynb").read_text()
    assert "<script>" not in text and "<svg" not in text


def test_plain_test_cells_show_no_hidden_line(course: Course) -> None:
    hand_in(course, "ada", {"solution-double": "def double(x):\n    return 4"})
    with Recorder(course) as recorder:
        recorder.record(graded(course, "ada"))
    assert "double(7)" not in (course.autograded_dir("ada", "ex") / "ex.ipynb").read_text()
    kinds = [item["output_type"] for item in outputs_of(course, "ada", "double")]
    assert kinds == ["stream", "display_data", "execute_result", "error"]


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("2026-05-01 12:00:00 UTC", "2026-05-01 12:00:00.000000"),
        ("2026-05-01T14:00:00+02:00", "2026-05-01 12:00:00.000000"),
        ("nonsense", None),
        ("", None),
        ("9" * 300, None),
    ],
)
def test_time_of_submission(course: Course, written: str, stored: str | None) -> None:
    hand_in(course, "ada", {})
    (course.submitted("ada", "ex") / "timestamp.txt").write_text(written)
    with Recorder(course) as recorder:
        recorder.record(graded(course, "ada"))
        assert rows(course)["submission"] == [("ex", "ada", stored, None)]
        recorder.record(graded(course, "ada"), datetime(2026, 6, 1))
    assert rows(course)["submission"][0][2] == "2026-06-01 00:00:00.000000"


def test_late_penalty_is_the_plugin_s(course: Course) -> None:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.gradebook_path}", "") as gradebook:
        gradebook.update_or_create_assignment("ex", duedate="2026-05-01")
    hand_in(course, "ada", ANSWERS["full"])
    late = datetime(2026, 5, 2)
    with Recorder(course) as recorder:
        recorder.record(graded(course, "ada"), late)
        assert {row[3] for row in rows(course)["notebook"]} == {None}
    (course.root / "nbgrader_config.py").write_text("c.LateSubmissionPlugin.penalty_method = 'zero'\n")
    with Recorder(course) as recorder:
        recorder.record(graded(course, "ada"), late)
        assert sorted(row[3] for row in rows(course)["notebook"]) == [0.0, 5.0]
        assert (scores(course, "ex")[0].score, scores(course, "ex")[0].late_penalty) == (0.0, 5.0)
        recorder.record(graded(course, "ada"), datetime(2026, 4, 1))
    assert {row[3] for row in rows(course)["notebook"]} == {None}


def test_links_and_large_files_of_a_submission_stay_behind(course: Course, tmp_path: Path) -> None:
    hand_in(course, "ada", {})
    folder = course.submitted("ada", "ex")
    (folder / "gradebook.txt").symlink_to(course.gradebook_path)
    (folder / "out").symlink_to(tmp_path / "source")
    (folder / "extra.ipynb").write_text("{}")
    os.mkfifo(folder / "pipe")
    with open(folder / "huge.bin", "wb") as file:
        file.truncate(2**30)
    with Recorder(course) as recorder:
        recorder.record(graded(course, "ada"))
    assert sorted(path.name for path in course.autograded_dir("ada", "ex").iterdir()) == [
        "data.txt",
        "ex.ipynb",
        "more.ipynb",
    ]


def test_existing_students_keep_their_names(course: Course) -> None:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.gradebook_path}", "") as gradebook:
        gradebook.add_student("ada", first_name="Ada", last_name="L", email="a@b.c", lms_user_id="7")
    hand_in(course, "ada", ANSWERS["full"])
    hand_in(course, "Jörg Ü", ANSWERS["part"])
    with Recorder(course) as recorder:
        for student in ("ada", "Jörg Ü"):
            recorder.record(graded(course, student))
    first, second = scores(course, "ex")
    assert (first.student, second.student, second.email) == ("Jörg Ü", "ada", "a@b.c")
    assert (first.score, second.score, second.max_score, second.needs_manual_grade) == (2.0, 5.0, 10.0, True)


# ---------------------------------------------------------------- when the gradebook cannot


def test_no_gradebook_and_unknown_assignments_name_the_cure(course: Course, tmp_path_factory: Any) -> None:
    empty = Course(tmp_path_factory.mktemp("empty"))
    with pytest.raises(GradebookError, match="run: autograder release"), Recorder(empty):
        pass
    with pytest.raises(GradebookError, match="run: autograder release"):
        scores(empty, "ex")
    assert not empty.gradebook_path.exists()
    hand_in(course, "ada", {})
    result = graded(course, "ada")
    with Recorder(course) as recorder, pytest.raises(GradebookError, match="run: autograder release ex9"):
        recorder.record(replace(result, assignment="ex9"))
    with pytest.raises(UsageError, match="ex9"):
        scores(course, "ex9")
    with pytest.raises(GradebookError, match="not open"):
        Recorder(course).record(result)


def test_a_changed_source_must_be_released_first(course: Course) -> None:
    hand_in(course, "ada", {})
    result = graded(course, "ada")
    task = replace(result.notebooks[0].tasks[0], max_score=7.0)
    changed = replace(result.notebooks[0], tasks=(task, *result.notebooks[0].tasks[1:]))
    renamed = replace(result.notebooks[0], name="other")
    with Recorder(course) as recorder:
        with pytest.raises(GradebookError, match="differ in double; run: autograder release ex"):
            recorder.record(replace(result, notebooks=(changed,)))
        with pytest.raises(GradebookError, match="notebook other of ex is not in the gradebook"):
            recorder.record(replace(result, notebooks=(renamed,)))
    assert rows(course)["student"] == []


@pytest.mark.parametrize("lock", ["immediate", "exclusive"])
def test_a_busy_gradebook_loses_nothing(course: Course, lock: str) -> None:
    hand_in(course, "ada", ANSWERS["full"])
    with Recorder(course, busy_s=0.05) as recorder, closing(sqlite3.connect(course.gradebook_path)) as other:
        other.execute(f"begin {lock}")
        with pytest.raises(GradebookError, match=r"nothing of this submission was recorded; another program"):
            recorder.record(graded(course, "ada"))
        assert not list(course.autograded_dir("ada", "ex").glob("*"))
        other.rollback()
        assert recorder.record(graded(course, "ada"))
    assert grades(course, "ada")["half"][0] == 3.0


def test_a_read_only_or_foreign_file_is_refused(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anything
    with pytest.raises(GradebookError, match="chmod"), Recorder(course):
        pass
    monkeypatch.undo()
    course.gradebook_path.write_bytes(b"no database" * 100)
    with pytest.raises(GradebookError, match="back it up"), Recorder(course):
        pass
    with pytest.raises(GradebookError, match="back it up"):
        scores(course, "ex")


def test_a_full_disk_is_told_and_nothing_is_recorded(course: Course) -> None:
    hand_in(course, "ada", ANSWERS["full"])
    (course.root / "autograded").write_text("in the way")
    with Recorder(course) as recorder, pytest.raises(GradebookError, match="cannot write to"):
        recorder.record(graded(course, "ada"))
    assert rows(course)["student"] == []


def test_recording_twice_changes_nothing(course: Course) -> None:
    hand_in(course, "ada", ANSWERS["full"])
    with Recorder(course) as recorder:
        recorder.record(graded(course, "ada"))
        before = copy.deepcopy(rows(course)), (course.autograded_dir("ada", "ex") / "ex.ipynb").read_bytes()
        recorder.record(graded(course, "ada"))
    assert (rows(course), (course.autograded_dir("ada", "ex") / "ex.ipynb").read_bytes()) == before
    assert not [path for path in course.autograded_dir("ada", "ex").iterdir() if path.name.startswith(".")]


def test_a_submission_is_found_without_reading_the_whole_class(course: Course) -> None:
    hand_in(course, "ada", ANSWERS["full"])
    with Recorder(course) as recorder:
        recorder.record(graded(course, "ada"))
    queries = {  # what the Recorder asks, and one student's scores
        "select * from submitted_notebook where assignment_id = 'x'",
        "select * from grade where notebook_id = 'x'",
        "select * from comment where notebook_id = 'x'",
        "select auto_score from grade g join submitted_notebook n on n.id = g.notebook_id"
        " join submitted_assignment s on s.id = n.assignment_id where s.student_id = 'x'",
    }
    with closing(sqlite3.connect(course.gradebook_path)) as database:
        for query in queries:
            plan = [row[3] for row in database.execute(f"explain query plan {query}")]
            assert plan and all(step.startswith("SEARCH") for step in plan), plan
    before = rows(course)
    nbgrader(course.root, "db", "upgrade")
    assert rows(course) == before


def test_a_comment_that_is_taken_back_leaves_the_page(course: Course) -> None:
    hand_in(course, "ada", ANSWERS["full"])
    result = graded(course, "ada")
    pages = {
        item.name: feedback.render(item, student="ada", timestamp=datetime(2026, 1, 1, tzinfo=UTC))
        for item in result.notebooks
    }
    with Recorder(course) as recorder:
        recorder.record(result, pages=pages, key={"notebook": "x"})
    page, job = course.feedback_dir("ada", "ex") / "ex.html", Job("ada", "ex", course.submitted("ada", "ex"))

    def comment(text: str | None) -> bool:
        """Write it beside the first solution; whether the page has changed by the next look."""
        cell_id = "(select id from base_cell where name = 'solution-double')"
        with closing(sqlite3.connect(course.gradebook_path)) as database, database:
            database.execute(f"update comment set manual_comment = ? where cell_id in {cell_id}", (text,))
        return any(update.page for update in upkeep.refresh(course, [job]))

    with closing(sqlite3.connect(course.gradebook_path)) as database, database:
        database.execute("update grade set auto_score = 0 where auto_score is null")  # no question is open
    assert upkeep.due(course, [job]) == []
    assert comment("Well done.") and "Well done." in page.read_text()
    assert not comment("Well done.")
    assert comment(None) and "Well done." not in page.read_text()
    assert not comment(None) and upkeep.due(course, [job]) == []
    with closing(sqlite3.connect(course.gradebook_path)) as database:
        assert database.execute("select * from autograder_given").fetchall() == []


def test_notebooks_without_any_task_are_fine(tmp_path: Path) -> None:
    course = Course(tmp_path)
    write(tmp_path / "source" / "ex" / "ex.ipynb", notebook([])["cells"])
    release(course, grade=grade_in_process)
    write(course.submitted("ada", "ex") / "ex.ipynb", [])
    with Recorder(course) as recorder:
        assert recorder.record(graded(course, "ada", more=False))
    assert scores(course, "ex")[0].max_score == 0.0
