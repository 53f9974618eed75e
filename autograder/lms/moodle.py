"""Back to Moodle: the grading worksheet, filled in, and a zip of feedback files.

The worksheet is the one that Moodle lets an instructor download; only its grades and empty comments change.
``mod/assign/feedback/offline/importgradeslib.php`` reads it (columns by name, the participant by the number
at the end of the identifier), ``locallib.php`` beside it skips grades that are out of range or locked without
a word, so that is checked here. ``mod/assign/feedback/file/importziplib.php`` reads the zip: the folder's
name is ``<full name>_<participant>_assignsubmission_file_``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from autograder.errors import UsageError
from autograder.layout import Course
from autograder.lms.finding import assign_rows
from autograder.lms.grades import Grades
from autograder.lms.record import Collected
from autograder.lms.roster import Person, Roster, people_of
from autograder.lms.tables import Table, harmless, number
from autograder.lms.writing_out import Export, feedback_pages, points, summary, zip_of

__all__ = ["export"]

_GRADE: Final = ("Grade", "Bewertung")
_MAXIMUM: Final = ("Maximum grade", "Maximalbewertung", "Bestwertung", "Maximale Bewertung")
_COMMENT: Final = ("Feedback comments", "Feedback als Kommentar")
_LOCKED: Final = ("Grade can be changed", "Bewertung kann geändert werden")
_NEVER: Final = ("no", "nein")


def export(
    course: Course,
    assignment: str,
    graded: Sequence[Grades],
    table: Table,
    record: Mapping[str, Collected],
    roster: Roster | None,
    *,
    column: str | None = None,
    scale: bool = False,
) -> Export:
    """Fill ``table`` and pack the pages. ``column``: the header of the grades, where it is in another
    language.

    :raises UsageError: it is no grading worksheet, or its maximum is another one and ``scale`` is not set.
    """
    made = Export()
    grade = table.column(*((column,) if column else _GRADE))
    if grade is None:
        wanted = repr(column) if column else "'Grade' or 'Bewertung'"
        raise UsageError(
            f"{table.path} has no column {wanted}; its headers are {', '.join(table.header)}. "
            "Download the grading "
            "worksheet of the assignment from Moodle, or name the column with --column"
        )
    people = {index: person for index, person, _ in people_of(table) if person is not None}
    if not any(person.number for person in people.values()):
        raise UsageError(
            f"{table.path} has no column 'Identifier' (or 'ID') with Moodle's participants; download "
            "the grading "
            "worksheet of the assignment from Moodle"
        )
    _check_assignment(table, {person.number for person in people.values()}, record)
    rows, made.left_out = assign_rows(graded, people.items(), "moodle", record, roster)
    comment, locked, top = table.column(*_COMMENT), table.column(*_LOCKED), table.column(*_MAXIMUM)
    pages: dict[str, bytes] = {}
    for grades in graded:
        if grades.student not in rows:
            continue
        cells = table.rows[rows[grades.student]]
        value, problem = _value(grades, cells[top] if top is not None else "", table, scale)
        if locked is not None and cells[locked].strip().lower() in _NEVER:
            problem = "Moodle says that this grade cannot be changed"
        if problem:
            made.left_out[grades.student] = problem
            continue
        if cells[grade].strip() and number(cells[grade]) != number(value):
            made.notes.append(f"{grades.student}: {cells[grade].strip()} in Moodle becomes {value}")
        cells[grade] = value
        if comment is not None and not cells[comment].strip():
            cells[comment] = summary(grades, "<br>")
        made.written.append(grades.student)
        folder = _folder(people[rows[grades.student]])
        pages |= {f"{folder}/{name}": data for name, data in feedback_pages(course, grades).items()}
    made.files[f"{assignment}-grades.csv"] = table.to_bytes()
    if pages:
        made.files[f"{assignment}-feedback.zip"] = zip_of(pages)
    return made


def _check_assignment(table: Table, numbers: set[str], record: Mapping[str, Collected]) -> None:
    """Moodle numbers participants anew for each assignment: the worksheet of another one has none of ours."""
    collected = {entry.number for entry in record.values() if entry.platform == "moodle" and entry.number}
    if collected and not collected & numbers:
        raise UsageError(
            f"{table.path} is the worksheet of another assignment: none of the {len(collected)} participants "
            "whose submissions were collected is in it; download the one of this assignment"
        )


def _value(grades: Grades, maximum: str, table: Table, scale: bool) -> tuple[str, str]:
    """The grade as Moodle reads it, or why there is none."""
    most, score = number(maximum), grades.score
    if most is not None and abs(most - grades.max_score) > 1e-6:
        if not scale:
            raise UsageError(
                f"{table.path}: Moodle's maximum is {points(most)}, that of {grades.assignment} is "
                f"{points(grades.max_score)}; set the maximum grade in Moodle to "
                f"{points(grades.max_score)} and "
                "download the worksheet again, or convert the points with --scale"
            )
        score = score * most / grades.max_score if grades.max_score else 0.0
    limit = grades.max_score if most is None else most
    if score > limit + 1e-6:
        return "", f"{points(score)} is more than the maximum of {points(limit)}: Moodle would skip it"
    return points(score, comma="," in maximum), ""


def _folder(person: Person) -> str:
    """As Moodle names it: no ``_`` in the name, and nothing that cannot be in a file's name."""
    name = re.sub(r"[\x00-\x1f/\\:*?\"<>|]", "", person.name.replace("_", " ")).strip(" .~") or "Participant"
    return f"{harmless(name).lstrip(chr(39))}_{person.number}_assignsubmission_file_"
