"""What the exports have in common: numbers, words for a student, zips of feedback pages."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from autograder.layout import Course
from autograder.lms.grades import Grades, Standing
from autograder.lms.tables import harmless

__all__ = ["Export", "feedback_pages", "points", "summary", "zip_of"]

_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""The same pages give the same zip."""


@dataclass(slots=True)
class Export:
    """Files to write, by name, and what the instructor must know: ``left_out`` by student, and ``notes``."""

    files: dict[str, bytes] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def points(value: float, *, comma: bool = False) -> str:
    """At most two decimals, as all platforms show."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return text.replace(".", ",") if comma else text


def summary(grades: Grades, line_end: str) -> str:
    """A line of the total and one a task, for a field of comments."""
    lines = [f"{points(grades.score)} of {points(grades.max_score)} points"]
    if grades.standing is not Standing.FINAL:
        lines[0] = f"Provisional: {lines[0]} ({grades.reason.partition(':')[0]})"
    for task in grades.tasks:
        score = "to be graded" if task.score is None else points(task.score)
        lines.append(f"{task.task}: {score} / {points(task.max_score)}")
    if grades.late_penalty:
        lines.append(f"late: {points(-grades.late_penalty)}")
    return harmless(line_end.join(lines))


def feedback_pages(course: Course, grades: Grades) -> dict[str, bytes]:
    """The feedback pages of a submission, by file name; empty when there are none."""
    folder = course.feedback_dir(grades.student, grades.assignment)
    notebooks = dict.fromkeys(task.notebook for task in grades.tasks)
    places = [folder / f"{name}.html" for name in notebooks]
    return {place.name: place.read_bytes() for place in places if place.is_file()}


def zip_of(files: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> bytes:
    """A zip of ``files`` in their order; names in UTF-8."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in dict(files).items():
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100644 if not name.endswith("/") else 0o040755) << 16
            archive.writestr(info, data)
    return made.getvalue()
