"""Back to Canvas: a gradebook file that its import takes.

``lib/gradebook_importer.rb`` reads it: a header ``Student, ID, …, Section``, then columns ``Title (id)``, a
row ``Points Possible``, students by ``ID``, then by SIS id, login and name. What it reads it writes, the
points possible as well. So only the columns that say who somebody is and the one of the assignment are
written: other columns would put back grades that changed in Canvas meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from autograder.errors import UsageError
from autograder.lms.finding import assign_rows, number_of
from autograder.lms.grades import Grades
from autograder.lms.record import Collected
from autograder.lms.roster import Roster, people_of
from autograder.lms.tables import Table, harmless, number, plain_header, render
from autograder.lms.writing_out import Export, points

__all__ = ["export", "export_without"]

_TITLE: Final = re.compile(r"(?P<title>.*) \((?P<id>\d+)\)")
_FIXED: Final = ("EX", "N/A")
"""Excused, or not assigned to this student: not a grade to be written over."""


def export(
    assignments: Mapping[str, Sequence[Grades]],
    table: Table,
    record: Mapping[str, Mapping[str, Collected]],
    roster: Roster | None,
    *,
    column: str | None = None,
    scale: bool = False,
) -> Export:
    """Fill a column of the gradebook ``table`` for each of ``assignments``.

    ``column`` is the header, the title or the id of the assignment in Canvas, where its name is another one.

    :raises UsageError: it is no gradebook, or an assignment's column cannot be told.
    """
    made = Export()
    section = table.column("Section")
    if section is None or not any("points possible" in row[0].lower() for row in table.rows):
        raise UsageError(
            f"{table.path} is no gradebook of Canvas: its header needs Student, ID and Section, and a "
            "row Points "
            "Possible. Export it in Canvas: Grades, Export, Export Entire Gradebook"
        )
    people = [(index, person) for index, person, _ in people_of(table) if person is not None]
    kept = list(range(section + 1))
    for assignment, graded in assignments.items():
        target = _column(table, assignment, column, section)
        kept.append(target)
        most = _points_possible(table, target)
        rows, problems = assign_rows(graded, people, "canvas", record.get(assignment, {}), roster)
        made.left_out |= problems
        for grades in graded:
            if grades.student not in rows:
                continue
            cells = table.rows[rows[grades.student]]
            if cells[target].strip().upper() in _FIXED:
                made.left_out[grades.student] = f"Canvas says {cells[target].strip()} for this student"
                continue
            value = points(_score(grades, most, table, scale), comma="," in "".join(_numbers(table, target)))
            if cells[target].strip() and number(cells[target]) != number(value):
                made.notes.append(f"{grades.student}: {cells[target].strip()} in Canvas becomes {value}")
            cells[target] = value
            made.written.append(grades.student)
    thin = Table(
        table.path,
        [table.header[index] for index in kept],
        [[row[index] for index in kept] for row in table.rows],
        table.separator,
        table.bom,
        table.line_end,
    )
    made.files["canvas-grades.csv"] = thin.to_bytes()
    return made


def export_without(
    assignments: Mapping[str, Sequence[Grades]],
    record: Mapping[str, Mapping[str, Collected]],
    roster: Roster | None,
    *,
    column: str | None = None,
) -> Export:
    """The same file without a gradebook to fill: for students whose Canvas ID is known."""
    made = Export()
    numbers: dict[str, str] = {}
    names: dict[str, str] = {}
    scores: dict[str, dict[str, str]] = {}
    for assignment, graded in assignments.items():
        for grades in graded:
            found = number_of(grades, "canvas", record.get(assignment, {}), roster)
            if not found.isdigit():  # an anonymous download has other ones
                made.left_out[grades.student] = (
                    "its Canvas ID is not known; give Canvas's gradebook: --worksheet"
                )
                continue
            numbers[grades.student], names[grades.student] = found, grades.name
            scores.setdefault(grades.student, {})[assignment] = points(grades.score)
            made.written.append(grades.student)
    titles = [column or name for name in assignments]
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    most = [points(graded[0].max_score) if graded else "" for graded in assignments.values()]
    rows = [[*head, *titles], ["    Points Possible", "", "", "", "", *most]]
    for student in sorted(scores):
        mine = [scores[student].get(name, "") for name in assignments]
        rows.append([harmless(names[student] or student), numbers[student], "", "", "", *mine])
    if not all(_TITLE.fullmatch(title) for title in titles):
        made.notes.append(
            "a column without '(id)' makes a new assignment in Canvas; --column 'Title (id)' names it"
        )
    made.files["canvas-grades.csv"] = render(rows).encode()
    return made


def _column(table: Table, assignment: str, wanted: str | None, section: int) -> int:
    """Index of the assignment's column."""
    found, titles = [], []
    for index, header in enumerate(table.header[section + 1 :], section + 1):
        title = _TITLE.fullmatch(header.strip())
        if title is None:
            continue
        titles.append(header.strip())
        same = {header.strip(), title["title"], title["id"]}
        if wanted in same if wanted else plain_header(title["title"]) == plain_header(assignment):
            found.append(index)
    if len(found) != 1:
        what = repr(wanted or assignment)
        raise UsageError(
            f"{table.path} has {len(found)} assignments {what}; name one with --column: "
            f"{', '.join(titles) or 'none'}"
        )
    return found[0]


def _points_possible(table: Table, column: int) -> float | None:
    for row in table.rows:
        if "points possible" in row[0].lower():
            if "read only" in row[column].lower():
                raise UsageError(f"{table.path}: the column {table.header[column]!r} is read only in Canvas")
            return number(row[column])
    return None


def _numbers(table: Table, column: int) -> list[str]:
    return [row[column] for row in table.rows if number(row[column]) is not None]


def _score(grades: Grades, most: float | None, table: Table, scale: bool) -> float:
    if most is None or abs(most - grades.max_score) <= 1e-6:
        return grades.score
    if not scale:
        raise UsageError(
            f"{table.path}: {grades.assignment} has {points(most)} points in Canvas and "
            f"{points(grades.max_score)} "
            "here; change the points in Canvas and export again, or convert them with --scale"
        )
    return grades.score * most / grades.max_score if grades.max_score else 0.0
