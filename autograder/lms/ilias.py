"""Back to ILIAS: the multi-feedback zip, and a table of marks.

``Modules/Exercise/Assignment/class.ilExAssignment.php`` (``uploadMultiFeedbackFile``,
``getMultiFeedbackFiles``) takes a zip with one folder whose name begins with ``multi_feedback``, and in it
folders that end in the user's number. Marks are typed in by hand in ILIAS as it is; the plugin
ExerciseStatusFile of FAU Erlangen-Nürnberg (``ilPluginExAssignmentStatusFile``) reads ``status.csv``, with
exactly these columns in this order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from autograder.errors import UsageError
from autograder.layout import Course
from autograder.lms import names
from autograder.lms.finding import assign_rows
from autograder.lms.grades import Grades
from autograder.lms.record import Collected
from autograder.lms.roster import Person, Roster, people_of
from autograder.lms.tables import Table, harmless, render
from autograder.lms.writing_out import Export, feedback_pages, points, summary, zip_of

__all__ = ["export"]

_COLUMNS: Final = (
    *("update", "usr_id", "login", "lastname", "firstname", "status", "mark", "notice", "comment"),
    *("plagiarism", "plag_comment"),
)


def export(
    course: Course,
    assignment: str,
    graded: Sequence[Grades],
    table: Table | None,
    record: Mapping[str, Collected],
    roster: Roster | None,
    *,
    passing: float | None = None,
) -> Export:
    """Pack the pages and write the marks, into the status file ``table`` where there is one.

    ``passing``: percent of the points from which on the status is ``passed``; None leaves the status as it
    is.

    :raises UsageError: ``table`` is no status file.
    """
    made = Export()
    people: dict[int, Person] = {}
    rows: dict[str, int] = {}
    if table is not None:
        if tuple(table.header[: len(_COLUMNS)]) != _COLUMNS:
            raise UsageError(
                f"{table.path} is no status file: its columns are {', '.join(table.header)}, those of "
                "the plugin "
                f"are {', '.join(_COLUMNS)}"
            )
        people = {index: person for index, person, _ in people_of(table) if person is not None}
        rows, made.left_out = assign_rows(graded, people.items(), "ilias", record, roster)
    own: list[list[str]] = []
    pages: dict[str, bytes] = {}
    root = f"multi_feedback_{names.safe_id(assignment) or 'assignment'}"
    for grades in graded:
        if grades.student in made.left_out:
            continue
        if table is None:
            person = _person(grades, record.get(grades.student), roster)
        else:
            person = people[rows[grades.student]]
        if person is None or not person.number:
            made.left_out[grades.student] = (
                "its number in ILIAS is not known; collect from ILIAS, or name usr_id"
            )
            continue
        if table is None:
            cells = ["", person.number, person.login, person.last, person.first, "notgraded", *[""] * 5]
            cells = [*cells[:3], harmless(cells[3]), harmless(cells[4]), *cells[5:]]
            own.append(cells)
        else:
            cells = table.rows[rows[grades.student]]
        _fill(cells, grades, passing, made)
        collected = record.get(grades.student)
        label = collected.label if collected and collected.platform == "ilias" else _label(person)
        found = feedback_pages(course, grades)
        pages |= {f"{root}/{label}/{name}": data for name, data in found.items()}
        made.written.append(grades.student)
    status = render([_COLUMNS, *own]).encode() if table is None else table.to_bytes()
    made.files["status.csv"] = status
    if table is not None:
        pages[f"{root}/status.csv"] = status  # there is one, so there is the plugin that reads it
    if pages:
        made.files[f"{root}.zip"] = zip_of(pages)
    return made


def _fill(cells: list[str], grades: Grades, passing: float | None, made: Export) -> None:
    at = {name: index for index, name in enumerate(_COLUMNS)}
    mark = points(grades.score)
    if cells[at["mark"]].strip() not in ("", mark):
        made.notes.append(f"{grades.student}: {cells[at['mark']].strip()} in ILIAS becomes {mark}")
    cells[at["update"]], cells[at["mark"]] = "1", mark
    if not cells[at["comment"]].strip():
        cells[at["comment"]] = summary(grades, "\n")
    if passing is not None:
        enough = grades.score >= passing / 100 * grades.max_score - 1e-9
        cells[at["status"]] = "passed" if enough else "failed"


def _person(grades: Grades, collected: Collected | None, roster: Roster | None) -> Person | None:
    listed = (
        next((person for person in roster.people if person.student == grades.student), None)
        if roster
        else None
    )
    if collected is None or collected.platform != "ilias":
        return listed
    if listed is not None and (listed.first or listed.last):
        first, last = listed.first, listed.last
    else:  # "Lastname_Firstname_login_number": where one ends is not said, and the number is what counts
        last, _, first = collected.label.removesuffix(f"_{collected.login}_{collected.number}").rpartition(
            "_"
        )
    return Person(grades.student, first=first, last=last, login=collected.login, number=collected.number)


def _label(person: Person) -> str:
    """The folder that ILIAS would make; it reads the number only."""
    parts = [names.safe_id(part) for part in (person.last, person.first, person.login)]
    return "_".join([*(part or "x" for part in parts), person.number])
