"""A day of the course through nbgrader's exchange, with the commands of the instructor's and student's pages.

Where the tests run as root, instructor and students have accounts of their own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import chdir, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autograder import cli
from autograder.given import is_ours
from autograder.gradebook import scores
from autograder.lateness import Lateness, as_utc
from autograder.layout import Course
from autograder.notebook import load_assignment
from autograder.release import release
from tests.people import Person, accounts, together
from tests.support_nbgrader import course_cells, grade_in_process, write
from tests.test_docs import blocks, commands
from tests.test_gradebook import ANSWERS

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own add_submission

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = """
c = get_config()
c.CourseDirectory.course_id = "neural_networks"
c.Exchange.root = "{exchange}"
"""
INSTRUCTORS = """
from autograder.nbgrader_settings import apply
c.CourseDirectory.root = "{root}"
c.LateSubmissionPlugin.penalty_method = "zero"
apply(c)
"""


@dataclass
class Day:
    course: Course
    exchange: Path
    instructor: Person
    ada: Person
    bob: Person
    own_accounts: bool


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released course: two tasks in code, 2 and 3 points, and a question that a person grades, 1 point."""
    root = tmp_path_factory.mktemp("released")
    write(root / "source" / "ex" / "ex.ipynb", course_cells())
    (root / "nbgrader_config.py").write_text(
        SETTINGS.format(exchange=root / "exchange") + INSTRUCTORS.format(root=root)
    )
    release(Course(root), grade=grade_in_process)
    return root


@pytest.fixture(scope="module")
def day(released: Path) -> Iterator[Day]:
    with tempfile.TemporaryDirectory(prefix="autograder-day-") as folder:  # not tmp_path, which is ours alone
        os.chmod(folder, 0o755)
        yield from begin(released, Path(folder))


def begin(released: Path, place: Path) -> Iterator[Day]:
    root, exchange, names = place / "course", place / "exchange", accounts(2)
    shutil.copytree(released, root)
    exchange.mkdir()
    exchange.chmod(0o777)
    settings = SETTINGS.format(exchange=exchange)
    instructor = Person("instructor", root, settings + INSTRUCTORS.format(root=root))
    students = [
        Person(
            name,
            place / name,
            settings + ("" if names else f'c.CourseDirectory.student_id = "{name}"\n'),
            account=name if names else None,
        )
        for name in names or ["ada", "bob"]
    ]
    try:
        yield Day(Course(root), exchange, instructor, *students, bool(names))
    finally:
        for person in (instructor, *students):
            person.leave()


def work(student: Person, answers: Mapping[str, str]) -> None:
    """``student`` writes ``answers`` into what was fetched."""
    path = student.home / "ex" / "ex.ipynb"
    nb = json.loads(path.read_text())
    for cell in nb["cells"]:
        cell["source"] = answers.get(cell["metadata"].get("nbgrader", {}).get("grade_id"), cell["source"])
    path.write_text(json.dumps(nb))


def points(course: Course) -> dict[str, float]:
    return {score.student: score.score for score in scores(course, "ex")}


def formgrader(course: Course, student: str, given: float, comment: str = "") -> None:
    """What formgrader's page does when a person types ``given`` points for the question."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.gradebook_path}", "neural_networks") as gradebook:
        grade = gradebook.find_grade("why", "ex", "ex", student)
        grade.manual_score, grade.needs_manual_grade = given, False
        gradebook.find_comment("why", "ex", "ex", student).manual_comment = comment
        gradebook.db.commit()


def pages(student: Person) -> list[Path]:
    """The fetched pages, by the time of the submission they are about."""
    return sorted((student.home / "ex" / "feedback").glob("*/ex.html"))


def test_the_day(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    course, instructor, ada, bob = day.course, day.instructor, day.ada, day.bob
    students = (ada, bob)

    def grade() -> str:
        capsys.readouterr()
        assert cli.main(["grade", "ex", "--course", str(course.root), "--workers", "1"]) == 0
        return capsys.readouterr().err

    # release, fetch, validate, submit
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d %H:%M} UTC"
    instructor.nbgrader("db", "assignment", "add", "ex", f"--duedate={tomorrow}")
    instructor.nbgrader("release_assignment", "ex")
    together(students, "fetch_assignment", "ex")
    work(ada, ANSWERS["full"])
    work(bob, ANSWERS["part"])
    ready, failing = together(students, "validate", "ex/ex.ipynb")
    assert "Success! Your notebook passes all the tests." in ready
    assert "VALIDATION FAILED ON 1 CELL(S)" in failing and "Task half" in failing
    together(students, "submit", "ex")

    # collect, grade, by hand, hand back
    said = instructor.nbgrader("collect", "ex")
    assert "Processing 2 submissions" in said
    assert not day.own_accounts or "cheating" not in said
    shutil.copytree(course.release_dir("ex"), course.submitted("eve", "ex"))  # she mailed it
    assert "[3/3]" in grade()
    assert points(course) == {ada.name: 5, bob.name: 2, "eve": 0}
    formgrader(course, ada.name, 0.5, "Say why.")
    said = grade()
    assert "3 graded already" in said and f"{ada.name} ex: not run again, feedback page updated" in said
    assert points(course) == {ada.name: 5.5, bob.name: 2, "eve": 0}
    page = (course.feedback_dir(ada.name, "ex") / "ex.html").read_bytes()
    assert "Skipping existing assignment" in instructor.nbgrader("generate_feedback", "ex")
    assert (course.feedback_dir(ada.name, "ex") / "ex.html").read_bytes() == page
    said = instructor.nbgrader("release_feedback", "ex")
    assert said.count("Feedback released to") == 2 and "No feedback released for student 'eve'" in said
    for folder in ("submitted", "autograded", "feedback"):
        shutil.rmtree(course.root / folder / "eve")
    instructor.nbgrader("db", "student", "remove", "eve", "--force")
    together(students, "fetch_feedback", "ex")
    for student in students:
        (fetched,) = pages(student)
        assert fetched.read_bytes() == (course.feedback_dir(student.name, "ex") / "ex.html").read_bytes()
        assert is_ours(fetched.read_text()) and f"· {student.name} ·" in fetched.read_text()
    seen = {student.name: pages(student)[0].read_text() for student in students}
    for said in ("5.5 of 6 points", "<b>0.5 of 1 points</b> given by a person. Say why."):
        assert said in seen[ada.name]
    assert "still to be given" in seen[bob.name] and "still to be given" not in seen[ada.name]
    for name in ("inbound", "feedback"):  # nobody can look what others handed in and got
        mode = (day.exchange / "neural_networks" / name).stat().st_mode
        assert not mode & (stat.S_IRGRP | stat.S_IROTH)

    # the due date passes; ada hands in the same again, bob the rest
    passed = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    instructor.nbgrader("db", "assignment", "add", "ex", f"--duedate={passed}")
    work(bob, ANSWERS["full"])
    together(students, "submit", "ex")
    instructor.nbgrader("collect", "ex", "--update")
    before = notebooks_run(course)
    said = grade()
    assert "1 graded already" in said and "[1/1]" in said
    assert re.search(rf"{ada.name} ex: not run again, handed in .* UTC, late penalty 0 → 5.5", said)
    assert {name for name, when in notebooks_run(course).items() if when != before[name]} == {bob.name}
    assert points(course) == {ada.name: 0, bob.name: 0}

    # extensions, with the code of the page; points by hand after the penalty
    extend(course, ada.name)
    formgrader(course, bob.name, 1)
    assert points(course) == {ada.name: 0, bob.name: 1}  # nbgrader's penalty is from before
    said = grade()
    assert "2 graded already" in said
    assert "late penalty 5.5 → 0" in said and "late penalty 5 → 6" in said
    assert points(course) == {ada.name: 5.5, bob.name: 0}
    assert "not run again" not in grade()
    late = (course.feedback_dir(bob.name, "ex") / "ex.html").read_text()
    assert "Handed in late: 6 points were taken off." in late and "0 of 6 points" in late

    # each attempt has its page
    instructor.nbgrader("release_feedback", "ex")
    together(students, "fetch_feedback", "ex")
    for student in students:
        _, latest = pages(student)
        assert latest.read_bytes() == (course.feedback_dir(student.name, "ex") / "ex.html").read_bytes()
    first, latest = (page.read_text() for page in pages(bob))
    assert "1 of 2 tasks complete" in first and "Everything that was checked is right" in latest

    # nbgrader's own pages, when somebody asks for them with force
    instructor.nbgrader("generate_feedback", "ex", "--force")
    stock = (course.feedback_dir(ada.name, "ex") / "ex.html").read_text()
    assert not is_ours(stock) and "not run again" not in grade()
    assert (course.feedback_dir(ada.name, "ex") / "ex.html").read_text() == stock

    # a mended release: those who have not fetched get it, graded as everybody
    cells = course_cells()
    cells[5]["source"] = "assert half(4) == 2, 'half of 4 is 2'"
    write(course.source_dir("ex") / "ex.ipynb", cells)
    assert release(course, grade=grade_in_process).gradebook == "updated in place"
    instructor.nbgrader("release_assignment", "ex", "--force")
    shutil.rmtree(bob.home / "ex")
    bob.nbgrader("fetch_assignment", "ex")
    assert "half of 4 is 2" in (bob.home / "ex" / "ex.ipynb").read_text()
    assert points(course) == {ada.name: 5.5, bob.name: 0}
    ran = {shape(line) for person in (instructor, *students) for line in person.ran}
    documented = {shape(command) for _, command in commands() if command.startswith("nbgrader")}
    assert documented and documented <= ran


def shape(command: str) -> str:
    """``command`` with the assignment and the date of these tests."""
    return re.sub(r"--duedate=.*", "--duedate=", command.replace("ex0_environment", "ex"))


def extend(course: Course, student: str) -> None:
    """Give an extension with the code of docs/instructor.md."""
    (code,) = (text for _, text in blocks("python") if "grant_extension" in text)
    with chdir(course.root):
        exec(code.replace("ex0_environment", "ex").replace("ada", student))


def notebooks_run(course: Course) -> dict[str, tuple[str, str]]:
    """When each submission was graded, and the result, as the ledger has it."""
    with closing(sqlite3.connect(course.gradebook_path)) as database:
        rows = database.execute("select student_id, graded_at, result from autograder_ledger").fetchall()
    return {student: (when, result) for student, when, result in rows}


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-05-01 12:30:00.5 UTC", "Europe/Berlin", "2026-05-01 12:30:00.500000"),
        ("2026-05-01 12:30:00 CEST", "Europe/Berlin", "2026-05-01 10:30:00"),
        ("2026-05-01 12:30:00 +0200", "", "2026-05-01 10:30:00"),
        ("2026-05-01 12:30:00 -03:30", "", "2026-05-01 16:00:00"),
        ("2026-05-01 12:30:00 Europe/Berlin", "", "2026-05-01 10:30:00"),
        ("2026-05-01 12:30:00 IST", "Asia/Kolkata", "2026-05-01 07:00:00"),
        ("2026-05-01 12:30:00 IST", "", "2026-05-01 12:30:00"),
        ("2026-10-25 02:30:00 CEST", "Europe/Berlin", "2026-10-25 00:30:00"),
        ("2026-10-25 02:30:00 CET", "Europe/Berlin", "2026-10-25 01:30:00"),
        ("2026-05-01 12:30:00", "Europe/Berlin", "2026-05-01 12:30:00"),
        ("2026-05-01 12:30:00 /etc/localtime", "", "None"),
        ("9999-12-31 23:59:00 -0500", "", "None"),
        ("yesterday", "", "None"),
    ],
)
def test_times_are_what_they_say(text: str, zone: str, utc: str) -> None:
    assert str(as_utc(text, zone)) == utc


def test_the_exchange_s_time_zone_is_that_of_the_course(tmp_path: Path) -> None:
    (tmp_path / "nbgrader_config.py").write_text('c = get_config()\nc.Exchange.timezone = "Europe/Berlin"\n')
    assert str(Lateness(tmp_path).handed_in("2026-05-01 12:30:00.5 CEST")) == "2026-05-01 10:30:00.500000"


def test_students_can_validate(day: Day) -> None:
    """The untouched release of a real assignment names every task that is open, the solution passes."""
    name, students = "ex0_environment", (day.ada, day.bob)
    for student, kind in zip(students, ("release", "solutions"), strict=True):
        shutil.copytree(ROOT / kind / name, student.home / name)
    untouched, solved = together(students, "validate", f"{name}/{name}.ipynb")
    tasks = [task.id for task in load_assignment(Course(ROOT).source_notebooks(name)[0]).tasks]
    assert f"VALIDATION FAILED ON {len(tasks)} CELL(S)" in untouched
    assert all(f"NotImplementedError: Task {task}" in untouched for task in tasks)
    assert "Success! Your notebook passes all the tests." in solved
