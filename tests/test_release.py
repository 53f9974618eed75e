from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from autograder.errors import GradebookError, UsageError
from autograder.layout import Course
from autograder.release import release
from autograder.release_files import gradebook_content, has_students, same_solution
from tests.support_nbgrader import (
    answer,
    code,
    course_cells,
    grade_in_process,
    graded,
    nbgrader,
    notebook,
    solution,
    write,
)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def course(tmp_path: Path) -> Course:
    write(tmp_path / "source" / "ex" / "ex.ipynb", course_cells())
    return Course(tmp_path)


def files(root: Path, *folders: str) -> dict[str, tuple[bytes, int]]:
    found = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def cells_of(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def text_of(cell: Mapping[str, Any]) -> str:
    return "".join(cell["source"])


def test_release_makes_the_three_things(course: Course) -> None:
    cache = course.root / "source" / "ex" / ".ipynb_checkpoints"
    write(cache / "ex-checkpoint.ipynb", course_cells())
    (course.root / "source" / "ex" / "helper.py").write_text("x = 1\n")
    report = release(course, grade=grade_in_process)
    assert report.gradebook == "written" and not report.current
    (done,) = report.assignments
    assert (done.name, done.tasks, done.points) == ("ex", 3, 6.0)
    made = files(course.root, "release", "solutions")
    assert sorted(made) == ["release/ex/ex.ipynb", "release/ex/helper.py", "solutions/ex/ex.ipynb"]
    assert sorted(path.name for path in done.changed) == ["ex.ipynb", "ex.ipynb", "helper.py"]
    assert not [path for path in course.root.iterdir() if path.name.startswith(".")]

    released = cells_of(course.release_dir("ex") / "ex.ipynb")
    assert text_of(released[1]) == 'def double(x):\n    raise NotImplementedError("Task double")'
    assert text_of(released[2]) == "assert double(2) == 4"
    assert text_of(released[6]) == "YOUR ANSWER HERE"
    assert all(item.get("execution_count") is None and not item.get("outputs") for item in released)

    solved = cells_of(course.solutions_dir("ex") / "ex.ipynb")
    assert text_of(solved[1]) == "def double(x):\n    return 2 * x"
    assert text_of(solved[6]) == "Because."
    assert solved[3]["outputs"] == [{"name": "stdout", "output_type": "stream", "text": ["a plot, say\n"]}]
    assert solved[3]["execution_count"] == 3

    content = gradebook_content(course.gradebook_path)
    assert content["assignment"] == [("ex", None, "")]  # no nbgrader_config.py, no course id
    assert ("ex", "ex", "GradeCell", "double", 2.0, "code") in content["grade_cells"]
    assert len(content["solution_cells"]) == 3 and len(content["source_cell"]) == 6
    assert content["alembic_version"] and not content["student"]
    assert not has_students(course.gradebook_path)


def test_running_it_again_touches_nothing(course: Course) -> None:
    release(course, grade=grade_in_process)
    database = course.gradebook_path.stat()
    before = files(course.root, "release", "solutions")
    report = release(course, grade=grade_in_process)
    assert report.current
    assert files(course.root, "release", "solutions") == before
    after = course.gradebook_path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (database.st_ino, database.st_mtime_ns)


def test_a_fresh_release_has_the_same_bytes(course: Course, tmp_path_factory: pytest.TempPathFactory) -> None:
    release(course, grade=grade_in_process)
    other = Course(tmp_path_factory.mktemp("other"))
    shutil.copytree(course.root / "source", other.root / "source")
    release(other, grade=grade_in_process)
    for folder in ("release", "solutions"):
        mine, theirs = files(course.root, folder), files(other.root, folder)
        assert {name: data for name, (data, _) in mine.items()} == {
            name: data for name, (data, _) in theirs.items()
        }
    assert gradebook_content(course.gradebook_path) == gradebook_content(other.gradebook_path)


@pytest.mark.parametrize("minor", [4, 5])
def test_the_nbgrader_command_gives_the_same_bytes(
    course: Course, tmp_path_factory: pytest.TempPathFactory, minor: int
) -> None:
    path = course.root / "source" / "ex" / "ex.ipynb"
    nb = json.loads(path.read_text())
    nb["nbformat_minor"] = minor
    for item in nb["cells"] if minor == 4 else ():
        del item["id"]
    path.write_text(json.dumps(nb))
    shutil.copy(REPOSITORY / "nbgrader_config.py", course.root)
    release(course, grade=grade_in_process)
    ours = (course.release_dir("ex") / "ex.ipynb").read_bytes()
    shutil.rmtree(course.root / "release")
    ran = nbgrader(course.root, "generate_assignment", "ex")
    assert "WARNING" not in ran and "ERROR" not in ran
    assert (course.release_dir("ex") / "ex.ipynb").read_bytes() == ours


def test_the_nbgrader_command_reads_our_settings_without_a_warning(course: Course) -> None:
    shutil.copy(REPOSITORY / "nbgrader_config.py", course.root)
    release(course, grade=grade_in_process)
    said = nbgrader(course.root, "db", "assignment", "list")
    assert "There are 1 assignments" in said
    assert not re.search("warn|error", said, re.IGNORECASE)
    assert gradebook_content(course.gradebook_path)["course"] == [("default_course",), ("neural_networks",)]


def test_write_false_only_tells(course: Course) -> None:
    report = release(course, grade=grade_in_process, write=False)
    assert report.gradebook == "written" and len(report.changed) == 2
    assert sorted(path.name for path in course.root.iterdir()) == ["source"]


def test_changed_source_changes_its_files_and_stale_ones_go(course: Course) -> None:
    write(course.root / "source" / "old" / "old.ipynb", [code("1")])
    (course.root / "source" / "ex" / "img").mkdir()
    (course.root / "source" / "ex" / "img" / "a.txt").write_text("a")
    release(course, grade=grade_in_process)
    cells = course_cells()
    cells[0]["source"] = "# Doubling"
    write(course.root / "source" / "ex" / "ex.ipynb", cells)
    shutil.rmtree(course.root / "source" / "ex" / "img")
    shutil.rmtree(course.root / "source" / "old")
    (course.release_dir("ex") / "stale.txt").write_text("")
    report = release(course, grade=grade_in_process)
    assert sorted(str(path.relative_to(course.root)) for path in report.changed) == [
        "release/ex/ex.ipynb",
        "release/ex/img/a.txt",
        "release/ex/stale.txt",
        "solutions/ex/ex.ipynb",
    ]
    assert [path.name for path in course.release_dir("ex").iterdir()] == ["ex.ipynb"]
    assert report.gradebook == "written"
    assert [row[0] for row in gradebook_content(course.gradebook_path)["assignment"]] == ["ex"]


def test_noise_in_outputs_is_no_change() -> None:
    def solved(text: str, source: str = "f()") -> str:
        nb = notebook([code(source)])
        nb["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}]
        return json.dumps(nb)

    first = solved("took 0.31 s <Axes at 0x7f3a12345678> in /tmp/a1/x.py\n")
    assert same_solution(first, solved("took 12.5 s <Axes at 0x7f0000000000> in /home/b/x.py\n"))
    assert same_solution(solved("tensor([ 0.5, -1.25])"), solved("tensor([-10.5,\n   1.2e-05])"))
    assert not same_solution(first, solved("failed after 0.31 s"))
    assert not same_solution(first, solved("took 0.31 s <Axes at 0x1> in /tmp/a1/x.py\n", "g()"))
    assert not same_solution(first, "junk")


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's add_submission
def test_a_gradebook_in_use_keeps_its_students(course: Course) -> None:
    from nbgrader.api import Gradebook

    release(course, grade=grade_in_process)
    with Gradebook(f"sqlite:///{course.gradebook_path}", "") as gradebook:
        gradebook.add_student("ada", first_name="Ada")
        gradebook.add_submission("ex", "ada")
        gradebook.find_grade("double", "ex", "ex", "ada").manual_score = 1.5
        gradebook.db.commit()
    inode = course.gradebook_path.stat().st_ino
    assert release(course, grade=grade_in_process).gradebook == "unchanged"

    cells = course_cells()
    cells[2]["metadata"]["nbgrader"]["points"] = 5
    write(course.root / "source" / "ex" / "ex.ipynb", cells)
    report = release(course, grade=grade_in_process)
    assert report.gradebook == "updated in place"
    assert course.gradebook_path.stat().st_ino == inode
    with Gradebook(f"sqlite:///{course.gradebook_path}", "") as gradebook:
        assert gradebook.find_student("ada").first_name == "Ada"
        grade = gradebook.find_grade("double", "ex", "ex", "ada")
        assert (grade.manual_score, grade.max_score) == (1.5, 5.0)

    write(course.root / "source" / "ex" / "ex.ipynb", [*cells, graded("new", 1, "assert half")])
    with pytest.raises(UsageError, match="Cannot add or remove cells"):
        release(course, grade=grade_in_process)


def test_due_dates_survive(course: Course) -> None:
    from nbgrader.api import Gradebook

    release(course, grade=grade_in_process)
    with Gradebook(f"sqlite:///{course.gradebook_path}", "") as gradebook:
        gradebook.update_or_create_assignment("ex", duedate="2030-01-01 12:00")
    cells = course_cells()
    cells[2]["metadata"]["nbgrader"]["points"] = 5
    write(course.root / "source" / "ex" / "ex.ipynb", cells)
    assert release(course, grade=grade_in_process).gradebook == "written"
    assert gradebook_content(course.gradebook_path)["assignment"][0][1].startswith("2030-01-01")


def test_a_file_that_is_no_gradebook_is_left_alone(course: Course) -> None:
    course.gradebook_path.write_bytes(b"not a database at all, but longer than a hundred bytes" * 3)
    with pytest.raises(GradebookError, match="back it up"):
        release(course, grade=grade_in_process)


def check_refused(course: Course, cells: Sequence[Mapping[str, Any]], words: str) -> None:
    write(course.root / "source" / "ex" / "ex.ipynb", cells)
    with pytest.raises(UsageError, match=words):
        release(course, grade=grade_in_process)
    assert sorted(path.name for path in course.root.iterdir()) == ["source"]


def test_a_solution_that_fails_its_checks_is_refused(course: Course) -> None:
    cells = course_cells()
    cells[4]["source"] = cells[4]["source"].replace("x / 2", "x / 3")
    check_refused(course, cells, r"half: 0 of 3 points\n  half runs: AssertionError")


def test_checks_that_pass_untouched_are_refused(course: Course) -> None:
    check_refused(
        course, [*course_cells(), graded("free", 1, "1 + 1")], "free gives 1 points to the untouched"
    )


def test_a_helper_file_must_not_hold_the_solution(course: Course) -> None:
    cells = course_cells()
    cells[4]["source"] = cells[4]["source"].replace("return x / 2", "return x / float(2)")
    (course.root / "source" / "ex" / "notes.txt").write_text("    return x / float(2)\n")
    check_refused(course, cells, "would show its solution:\nnotes.txt: return x / float")


def test_answers_without_a_region_are_replaced_as_a_whole(course: Course) -> None:
    cells = [
        *course_cells(),
        answer("more", 1, "The answer is 42."),
        solution("all", "def f():\n    return 1"),
    ]
    write(course.root / "source" / "ex" / "ex.ipynb", cells)
    release(course, grade=grade_in_process)
    released = cells_of(course.release_dir("ex") / "ex.ipynb")
    assert [text_of(item) for item in released[-2:]] == [
        "YOUR ANSWER HERE",
        'raise NotImplementedError("Task all")',
    ]


def test_other_things_that_cannot_be_released(
    course: Course, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(UsageError, match="no assignment 'nope'"):
        release(course, ["nope"], grade=grade_in_process)
    with pytest.raises(UsageError, match="nothing to release"):
        release(Course(tmp_path_factory.mktemp("empty")), grade=grade_in_process)
    path = course.root / "source" / "ex" / "ex.ipynb"
    path.write_text(re.sub(r'"id": "plot",', "", path.read_text()))
    with pytest.raises(UsageError, match="cells without an id"):
        release(course, grade=grade_in_process)


def test_one_assignment_of_two(course: Course) -> None:
    write(course.root / "source" / "ex2" / "two.ipynb", [solution("a", "a = 1"), graded("a", 1, "assert a")])
    release(course, ["ex2"], grade=grade_in_process)
    assert sorted(files(course.root, "release")) == ["release/ex2/two.ipynb"]
    release(course, ["ex"], grade=grade_in_process)
    assert [row[0] for row in gradebook_content(course.gradebook_path)["assignment"]] == ["ex", "ex2"]
