from __future__ import annotations

import os
from pathlib import Path

import pytest

from autograder.errors import UsageError
from autograder.layout import Course, check_student_id
from tests.support_nbgrader import code, write


def test_assignments_are_the_folders_with_notebooks(tmp_path: Path) -> None:
    write(tmp_path / "source" / "ex2" / "ex2.ipynb", [code("1")])
    write(tmp_path / "source" / "ex1" / "b.ipynb", [code("1")])
    write(tmp_path / "source" / "ex1" / "a.ipynb", [code("1")])
    write(tmp_path / "source" / "ex1" / ".ipynb_checkpoints" / "a-checkpoint.ipynb", [code("1")])
    write(tmp_path / "source" / ".ipynb_checkpoints" / "a.ipynb", [code("1")])
    (tmp_path / "source" / "empty").mkdir()
    (tmp_path / "source" / "header.ipynb").write_text("{}")
    course = Course(tmp_path)
    assert course.assignments() == ("ex1", "ex2")
    assert [path.name for path in course.source_notebooks("ex1")] == ["a.ipynb", "b.ipynb"]
    with pytest.raises(UsageError, match=r"no assignment 'ex3'.*known are: ex1, ex2"):
        course.source_notebooks("ex3")


def test_a_course_without_folders_is_empty(tmp_path: Path) -> None:
    assert Course(tmp_path).assignments() == ()
    assert Course(tmp_path).submissions("ex1") == []


def test_folders_are_nbgraders(tmp_path: Path) -> None:
    course = Course(tmp_path)
    assert course.submitted("ada", "ex1") == tmp_path / "submitted" / "ada" / "ex1"
    assert course.autograded_dir("ada", "ex1") == tmp_path / "autograded" / "ada" / "ex1"
    assert course.feedback_dir("ada", "ex1") == tmp_path / "feedback" / "ada" / "ex1"
    assert course.release_dir("ex1") == tmp_path / "release" / "ex1"
    assert course.solutions_dir("ex1") == tmp_path / "solutions" / "ex1"
    assert course.gradebook_path == tmp_path / "gradebook.db"


def test_submissions_are_sorted_and_nothing_is_followed(tmp_path: Path) -> None:
    submitted = tmp_path / "submitted"
    for student in ("zoe", "ada@uni.de", "Jörg Ü", "no-ex1"):
        (submitted / student / ("ex2" if student == "no-ex1" else "ex1")).mkdir(parents=True)
    (submitted / "st*r" / "ex1").mkdir(parents=True)
    (submitted / ".cache" / "ex1").mkdir(parents=True)
    (submitted / "roster.csv").write_text("")
    (submitted / "linked").symlink_to(submitted / "zoe")
    (submitted / "inner").mkdir()
    (submitted / "inner" / "ex1").symlink_to(submitted / "zoe" / "ex1")
    (submitted / "file").mkdir()
    (submitted / "file" / "ex1").write_text("")
    (submitted / "pipe").mkdir()
    os.mkfifo(submitted / "pipe" / "ex1")
    course = Course(tmp_path)
    found = course.submissions("ex1")
    assert [student for student, _ in found] == ["Jörg Ü", "ada@uni.de", "zoe"]
    assert found[2][1] == submitted / "zoe" / "ex1"
    refused = "\n".join(course.refused("ex1"))
    for words in (
        "'linked' is a symbolic link",
        "'inner'/ex1 is a symbolic link",
        "'file'/ex1 is a file",
        "'pipe'/ex1 is a special file",
        "'st*r' has the characters *",
    ):
        assert words in refused
    assert len(course.refused("ex1")) == 5


def test_student_ids_that_cannot_be_stored_are_refused_by_name(tmp_path: Path) -> None:
    nasty = os.fsencode(tmp_path / "submitted") + b"/\xff\xfe"
    os.makedirs(nasty + b"/ex1")
    course = Course(tmp_path)
    assert course.submissions("ex1") == []
    assert "cannot be printed" in course.refused("ex1")[0]
    course.refused("ex1")[0].encode()  # the message itself can be printed


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", "a\nb", " a", "a ", ".hidden", "x" * 129, "a*"]
)
def test_unsafe_names_are_refused_everywhere(tmp_path: Path, name: str) -> None:
    course = Course(tmp_path)
    for path_of in (course.release_dir, course.solutions_dir, course.suite_dir, course.source_dir):
        with pytest.raises(UsageError):
            path_of(name)
    for student_path in (course.submitted, course.autograded_dir, course.feedback_dir):
        with pytest.raises(UsageError):
            student_path(name, "ex1")
        with pytest.raises(UsageError):
            student_path("ada", name)
    with pytest.raises(UsageError):
        course.submissions(name)


def test_a_plus_is_fine_in_a_student_but_not_in_an_assignment(tmp_path: Path) -> None:
    assert check_student_id("ada+test@uni.de") == "ada+test@uni.de"
    with pytest.raises(UsageError, match=r"character \+"):
        Course(tmp_path).release_dir("ex+1")


def test_a_course_may_have_other_places_than_nbgrader_s_own(tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    write(place / "a.ipynb", [code("1")])
    course = Course(tmp_path, None, tmp_path / "marks.db", (("ex1", place),))
    assert course.gradebook_path == tmp_path / "marks.db"
    assert course.source_notebooks("ex1") == (place / "a.ipynb",)
    assert course.source_dir("ex2") == tmp_path / "source" / "ex2"
