"""Who is in the course: names, logins and numbers to the ids that nbgrader knows.

Any CSV with a header will do, German or English, and so will what the platforms export: Moodle's grading
worksheet, Canvas's gradebook, the status file of ILIAS's ExerciseStatusFile plugin. A name is never guessed:
it is one person's, nobody's, or a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Final

from autograder.errors import UsageError
from autograder.layout import check_student_id
from autograder.lms import names, times
from autograder.lms.layouts import Owner
from autograder.lms.tables import Table, plain_header, read_table

__all__ = ["Match", "Person", "Roster", "people_of", "read_roster"]

_HEADERS: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset(plain_header(name) for name in spelled)
    for kind, spelled in {
        "id": (
            "id",
            "student id",
            "student",
            "student_id",
            "studentenid",
            "studierenden-id",
            "nbgrader id",
            "kennung",
        ),
        "login": (
            *("login", "username", "user name", "user", "user id", "login id", "sis login id", "account"),
            *(
                "benutzername",
                "benutzerkennung",
                "anmeldename",
                "uid",
                "loginname",
                "rz-kennung",
                "nutzername",
            ),
        ),
        "email": (
            "email",
            "e-mail",
            "mail",
            "email address",
            "e-mail-adresse",
            "mailadresse",
            "e-mail address",
        ),
        "first": ("first name", "firstname", "given name", "vorname", "rufname", "first"),
        "last": ("last name", "lastname", "surname", "family name", "nachname", "familienname", "last"),
        "full": (
            "full name",
            "fullname",
            "vollständiger name",
            "voller name",
            "name",
            "anzeigename",
            "display name",
        ),
        "matriculation": (
            *(
                "matriculation",
                "matriculation number",
                "matrikelnummer",
                "matrikelnr",
                "matrikel-nr",
                "matrikel",
            ),
            *("id number", "id-nummer", "student number", "sis user id", "registration number"),
        ),
        "number": (
            *("lms user id", "lms id", "usr_id", "canvas id", "moodle id", "ilias id", "participant"),
            *("participant id", "teilnehmer", "teilnehmer-id", "identifier", "user number"),
        ),
        "time": (
            *(
                "last modified (submission)",
                "zuletzt geändert (abgabe)",
                "timestamp",
                "submitted",
                "submitted at",
            ),
            *("abgabezeit", "abgegeben am", "abgabe"),
        ),
    }.items()
}
_PARTICIPANT: Final = re.compile(r"\D*?(\d+)")
"""Moodle's identifier: ``Participant 123456``, ``Teilnehmer/in123456``."""


@dataclass(frozen=True, slots=True)
class Person:
    """One row of a roster. ``student`` is the id for nbgrader; the rest is empty where it is not known.

    ``number`` is the platform's, ``matriculation`` the university's; ``time``: when this assignment was
    submitted, from a worksheet.
    """

    student: str
    first: str = ""
    last: str = ""
    full: str = ""
    login: str = ""
    email: str = ""
    matriculation: str = ""
    number: str = ""
    time: datetime | None = None

    @property
    def name(self) -> str:
        """First and last name, for people."""
        return self.full or f"{self.first} {self.last}".strip()


@dataclass(frozen=True, slots=True)
class Match:
    """``person``, or the reason why there is none; ``several`` are those that it could be."""

    person: Person | None = None
    several: tuple[Person, ...] = ()


class Roster:
    """The people of a course."""

    def __init__(self, people: Iterable[Person], problems: Sequence[str] = ()) -> None:
        self.people = tuple(people)
        self.problems = tuple(problems)
        """Rows that could not be used, one message each."""

    @property
    def known(self) -> frozenset[str]:
        """Ids, logins and addresses in small letters: what may stand before a file's name."""
        return frozenset(
            text.lower()
            for person in self.people
            for text in (person.student, person.login, person.email, person.matriculation)
            if text
        )

    def find(self, owner: Owner) -> Match:
        """The one person that ``owner`` is: by number, then by login, address or id, then by name."""
        tests: list[Callable[[Person], bool]] = []
        if owner.number:
            tests.append(lambda person: person.number == owner.number)
        if owner.login:
            logins = _logins(owner)
            tests.append(lambda person: bool(logins & _keys(person)))
        if name := owner.name or owner.login:
            exact, spelled, bare = names.exact(name), names.spellings(name), names.squashed(name, "")
            tests.append(lambda person: exact == names.exact(person.name))
            tests.append(lambda person: bool(spelled & names.spellings(person.name)))
            tests.append(lambda person: bool(bare & _squashed(person)))
        for test in tests:
            found = tuple(person for person in self.people if test(person))
            if len(found) > 1:
                found = tuple(person for person in found if _is_whole_label(owner, person)) or found
            if len(found) == 1:
                return Match(found[0])
            if found:
                return Match(several=found)
        return Match()


def _logins(owner: Owner) -> frozenset[str]:
    """The login, and all that it could be where a login may hold the separator itself (ILIAS)."""
    words = owner.label.removesuffix(f"_{owner.number}").lower().split("_")
    tails = {"_".join(words[start:]) for start in range(2, len(words))} if owner.number else set()
    return frozenset({owner.login.lower(), *tails})


def _is_whole_label(owner: Owner, person: Person) -> bool:
    """Whether name and login of ``person`` are all that the label of ILIAS says, and not a part of it."""
    words = names.spellings(owner.label.removesuffix(f"_{owner.number}"))
    return bool(owner.login and owner.number and words & names.spellings(f"{person.name} {person.login}"))


def _keys(person: Person) -> frozenset[str]:
    keys = (person.student, person.login, person.email, person.matriculation, person.email.partition("@")[0])
    return frozenset(key.lower() for key in keys if key)


def _squashed(person: Person) -> frozenset[str]:
    if person.first or person.last:
        return names.squashed(person.first, person.last)
    last, comma, first = person.full.partition(",")
    if comma:
        return names.squashed(first, last)
    words = person.full.split()
    splits = range(1, len(words))
    found = [names.squashed(" ".join(words[:at]), " ".join(words[at:])) for at in splits]
    return frozenset().union(*found, names.squashed(person.full, ""))


def read_roster(path: Path, local: tzinfo | None = None) -> Roster:
    """The roster in the CSV file at ``path``. Two rows with one id: the first one counts, and a problem is
    noted.

    :raises UsageError: it is no table, or no column of it says who somebody is.
    """
    people: dict[str, Person] = {}
    problems = []
    for index, person, problem in people_of(read_table(path), local):
        if person is not None and person.student in people:
            problem = f"the id {person.student!r} is that of an earlier row"
        if person is None or problem:
            problems.append(f"{path.name}, row {index + 2}: {problem}")
        else:
            people[person.student] = person
    return Roster(people.values(), problems)


def people_of(table: Table, local: tzinfo | None = None) -> Iterator[tuple[int, Person | None, str]]:
    """Index, person and problem of each row of ``table`` that is about a person; one of the two is there.

    :raises UsageError: no column says who somebody is.
    """
    columns = _columns(table)
    if not set(columns) & {"id", "login", "email", "full", "last", "matriculation", "number"}:
        known = "student_id, login, email, first name, last name, full name, matriculation number"
        raise UsageError(
            f"{table.path}: no column says who somebody is; its headers are {', '.join(table.header)}; "
            f"known are {known} (also in German)"
        )
    for index, values in _values(table, columns):
        yield index, *_person(values, local)


def _columns(table: Table) -> dict[str, int]:
    """Kind to index of its column."""
    found: dict[str, int] = {}
    for index, name in enumerate(table.header):
        for kind, spelled in _HEADERS.items():
            if plain_header(name) in spelled:
                found.setdefault(kind, index)
    plain = [plain_header(name) for name in table.header]
    if plain[:2] == ["student", "id"] and "section" in plain:  # Canvas
        found |= {"full": 0, "number": 1}
        del found["id"]
    elif "id" in found and _is_worksheet(plain):  # Moodle in German
        found["number"] = found.pop("id")
    if "full" in found and "first" in found and "last" not in found:
        found["last"] = found.pop("full")  # "Name;Vorname"
    return found


def _is_worksheet(plain: Sequence[str]) -> bool:
    """Moodle's grading worksheet, whose German one calls the participant ``ID``."""
    return bool({"bewertung", "grade"} & set(plain)) and "vollstandigername" in plain


def _values(table: Table, columns: Mapping[str, int]) -> Iterator[tuple[int, dict[str, str]]]:
    """Index of a row, and its values by kind; rows without a person are left out."""
    for index, cells in enumerate(table.rows):
        values = {kind: cells[column].strip() for kind, column in columns.items()}
        if "Points Possible" in cells[0] or re.fullmatch(
            r"(?i)(muted|manual posting.*)?", "".join(cells).strip()
        ):
            continue
        if values.get("full") == "Student, Test":  # Canvas's own
            continue
        yield index, values


def _person(values: Mapping[str, str], local: tzinfo | None) -> tuple[Person | None, str]:
    number = values.get("number", "")
    if found := _PARTICIPANT.fullmatch(number):
        number = found[1]
    full = values.get("full", "")
    last, comma, first = full.partition(",")
    person = Person(
        student="",
        first=values.get("first", "") or (first.strip() if comma else ""),
        last=values.get("last", "") or (last.strip() if comma else ""),
        full="" if comma else full,
        login=values.get("login", ""),
        email=values.get("email", ""),
        matriculation=values.get("matriculation", ""),
        number=number,
        time=times.parse(values.get("time", ""), local),
    )
    chosen = (
        values.get("id") or person.login or person.matriculation or person.email or names.safe_id(person.name)
    )
    if not chosen:
        return None, "there is neither an id nor a name"
    try:
        check_student_id(chosen)
    except UsageError as error:
        return None, str(error).partition(";")[0]
    fields = {name: getattr(person, name) for name in Person.__slots__}
    return Person(**(fields | {"student": chosen})), ""
