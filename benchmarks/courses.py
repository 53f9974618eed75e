"""Course folders to measure in: one assignment of this course, and what a class has handed in."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from autograder import config
from autograder.layout import Course
from benchmarks.students import Student

__all__ = ["ROOT", "course_of", "hand_in", "original"]

ROOT = Path(__file__).resolve().parents[1]


def original() -> Course:
    """The course of this repository."""
    return config.load(ROOT).course


def hand_in(home: Path, assignment: str, students: Iterable[Student]) -> Course:
    """A fresh course in the new folder ``home``: nothing graded, no key stored, no student known."""
    from_course = original()
    home.mkdir(parents=True)
    for folder in (from_course.source_dir(assignment), from_course.release_dir(assignment)):
        shutil.copytree(folder, home / folder.relative_to(from_course.root))
    shutil.copyfile(from_course.gradebook_path, home / "gradebook.db")
    (home / "nbgrader_config.py").write_text(
        "c = get_config()\n", encoding="utf-8"
    )  # stock, and marks a course
    course = course_of(home)
    name = from_course.source_notebooks(assignment)[0].name
    for student in students:
        place = course.submitted(student.name, assignment)
        place.mkdir(parents=True)
        (place / name).write_bytes(student.notebook)
    return course


def course_of(home: Path) -> Course:
    """The course in ``home`` as ``autograder grade --course`` sees it; its suites are the package's."""
    return config.load(home).course
