"""Which row of a platform's file is which student's.

By the number under which the submission was collected, then by whatever the roster and the gradebook know.
Two students for one row, or two rows for one student, are problems, never a choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from autograder.lms import names
from autograder.lms.grades import Grades
from autograder.lms.layouts import Owner
from autograder.lms.record import Collected
from autograder.lms.roster import Match, Person, Roster

__all__ = ["assign_rows", "number_of"]


def assign_rows(
    graded: Sequence[Grades],
    rows: Iterable[tuple[int, Person]],
    platform: str,
    record: Mapping[str, Collected],
    roster: Roster | None,
) -> tuple[dict[str, int], dict[str, str]]:
    """Index of the row of each student, and for each student without one the reason."""
    listed = list(rows)
    index = {id(person): row for row, person in listed}
    sheet = Roster([person for _, person in listed])
    known = {person.student: person for person in roster.people} if roster else {}
    found: dict[str, int] = {}
    problems: dict[str, str] = {}
    for grades in graded:
        match = _match(grades, sheet, platform, record.get(grades.student), known.get(grades.student))
        if match.person is not None:
            found[grades.student] = index[id(match.person)]
        elif match.several:
            problems[grades.student] = f"could be {len(match.several)} rows; name the person in a --roster"
        else:
            problems[grades.student] = "is in no row of the worksheet"
    twice = {row for row, count in Counter(found.values()).items() if count > 1}
    for student in [student for student, row in found.items() if row in twice]:
        others = [other for other, row in found.items() if row == found[student] and other != student]
        problems[student] = f"has the same row as {', '.join(others)}; name them in a --roster"
    return {student: row for student, row in found.items() if student not in problems}, problems


def number_of(grades: Grades, platform: str, record: Mapping[str, Collected], roster: Roster | None) -> str:
    """The platform's number of a student without a worksheet; empty when nobody knows it."""
    collected = record.get(grades.student)
    if collected is not None and collected.platform == platform and collected.number:
        return collected.number
    for person in roster.people if roster else ():
        if person.student == grades.student and person.number:
            return person.number
    return grades.lms_user_id


def _match(
    grades: Grades, sheet: Roster, platform: str, collected: Collected | None, person: Person | None
) -> Match:
    """The first thing that is known of a student and that the sheet knows too decides."""
    numbers = [collected.number if collected and collected.platform == platform else ""]
    logins = [grades.student, grades.email, collected.login if collected else ""]
    full = [grades.name, collected.name if collected else ""]
    if person is not None:
        numbers.append(person.number)
        logins += [person.login, person.email, person.matriculation]
        full.insert(0, person.name)
    numbers.append(grades.lms_user_id)
    owners = [Owner("", number=number) for number in numbers if number]
    owners += [Owner(login, login=login) for login in logins if login]
    owners += [Owner(name, name=name) for name in full if name]
    for owner in owners:
        match = sheet.find(owner)
        if match.person is not None or match.several:
            return match
    made = tuple(other for other in sheet.people if names.safe_id(other.name) == grades.student)
    return Match(made[0]) if len(made) == 1 else Match(several=made)
