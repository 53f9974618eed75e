"""``autograder collect``: a learning platform's download into ``submitted/<student>/<assignment>/``.

One student after the other is chosen, compared and placed, so that memory holds one submission at a time and
a stopped run has placed whole ones only. Whoever cannot be placed costs a line, never the batch.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.text import Text

from autograder import console
from autograder.config import Config
from autograder.display import clean_text
from autograder.errors import StorageError, UsageError
from autograder.layout import Course
from autograder.lms import times
from autograder.lms.archives import Archive, DamagedFile, Entry, open_archive, printable
from autograder.lms.choosing import Choice, choose
from autograder.lms.layouts import PLATFORMS, Context, Handed, Owner, Reading, read_layout
from autograder.lms.owners import described, is_somebody_else, own_id
from autograder.lms.placing import State, Submission, place, set_time, state_of
from autograder.lms.record import Collected, read_record, write_record
from autograder.lms.roster import Person, Roster, read_roster
from autograder.release_files import replace_file
from autograder.staging import storage_error
from autograder.writing import one_writer

__all__ = ["Line", "Outcome", "collect", "command"]

_UNMATCHED: Final = "unmatched"
_AMBIGUOUS: Final = "ambiguous"
_REFUSED: Final = "refused"
_KEPT: Final = "kept yours"
_REPLACED: Final = "replaced"
_STATES: Final = (State.NEW.value, _REPLACED, State.SAME.value, _KEPT, _AMBIGUOUS, _UNMATCHED, _REFUSED)


@dataclass(slots=True)
class Line:
    """What became of one person's files. ``state``: one of the words of the table; ``open``: somebody must
    look."""

    label: str
    student: str = ""
    state: str = ""
    notes: list[str] = field(default_factory=list)
    open: bool = False


@dataclass(slots=True)
class Outcome:
    """A whole download: a line a person, what was left out and why, and where the rest is."""

    lines: list[Line] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    left: str = ""
    """Where the files lie that were not placed."""

    @property
    def open(self) -> bool:
        """Whether somebody must look at something."""
        return bool(self.refused or self.unknown or any(line.open for line in self.lines))


def command(options: argparse.Namespace, settings: Config) -> int:
    """Collect and show; the exit code."""
    local = times.zone(options.timezone)
    roster = read_roster(options.roster, local) if options.roster else None
    with nullcontext() if options.dry_run else one_writer(settings.course):
        outcome = collect(
            settings,
            options.platform,
            options.archive,
            options.assignment,
            roster=roster,
            timezone=options.timezone,
            replace=options.replace,
            dry_run=options.dry_run,
        )
    for problem in roster.problems if roster else ():
        print(f"roster: {problem}", file=sys.stderr)
    _show(outcome, options)
    return 1 if outcome.open else 0


def collect(
    settings: Config,
    platform: str,
    archive: Path,
    assignment: str,
    *,
    roster: Roster | None = None,
    timezone: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
) -> Outcome:
    """Place what is in ``archive``, a download of ``platform``; with ``dry_run`` only say what would be done.

    ``replace``: a submission also replaces one of which it is not known to be newer.

    :raises UsageError: no such assignment, or the archive cannot be read at all.
    :raises StorageError: nothing more can be written.
    """
    course = settings.course
    notebooks = [path.stem for path in course.source_notebooks(assignment)]
    known = roster.known if roster else frozenset[str]()
    context = Context(assignment, notebooks, known, times.zone(timezone))
    with open_archive(archive, settings.limits) as files:
        reading = read_layout(platform, files.entries, context)
        if files.entries and not reading.handed:
            _wrong_platform(platform, files, context)
        run = _Run(course, platform, archive, assignment, notebooks, settings, roster, replace, dry_run)
        return run.all(files, reading)


def _wrong_platform(platform: str, files: Archive, context: Context) -> None:
    """Nothing is named as the platform would: refuse, and name the one that would."""
    counts = {
        other: len(read_layout(other, files.entries, context).handed)
        for other in PLATFORMS
        if other != platform
    }
    likely = max(counts, key=lambda other: (bool(counts[other]) and other != "folder", counts[other]))
    more = f"; they look like --from {likely}" if counts[likely] else ""
    example = printable(str(files.entries[0].path))
    raise UsageError(
        f"{files.name}: none of its {len(files.entries)} files is named as a download of {platform} "
        f"names them (the first is {example}){more}. docs/platforms.md shows the names"
    )


class _Run:
    """One download; the parts of :func:`collect`."""

    def __init__(
        self,
        course: Course,
        platform: str,
        archive: Path,
        assignment: str,
        notebooks: Sequence[str],
        settings: Config,
        roster: Roster | None,
        replace: bool,
        dry_run: bool,
    ) -> None:
        self._course, self._platform, self._archive = course, platform, archive
        self._assignment, self._notebooks, self._limits = assignment, notebooks, settings.limits
        self._roster, self._replace, self._dry_run = roster, replace, dry_run
        self._record = read_record(course, assignment)
        self._leftover: list[Entry] = []

    def all(self, files: Archive, reading: Reading) -> Outcome:
        outcome = Outcome(ignored=reading.ignored, refused=files.refused)
        outcome.unknown = [printable(str(entry.path)) for entry in reading.unknown]
        self._leftover += reading.unknown
        owned: dict[Owner, list[Handed]] = {}
        for item in reading.handed:
            owned.setdefault(item.owner, []).append(item)
        people, lines = self._people(owned)
        try:
            for owner, handed in owned.items():
                line = lines[owner]
                if not line.open:
                    self._one(owner, people[owner], handed, line)
                if line.open and line.state in (_UNMATCHED, _AMBIGUOUS, _REFUSED):
                    self._leftover += [item.entry for item in handed]
                outcome.lines.append(line)
        finally:
            if not self._dry_run:
                self._write_record()
        outcome.lines.sort(key=lambda line: (line.student or line.label).lower())
        outcome.left = self._keep_leftover()
        if self._roster:
            present = {line.student for line in outcome.lines}
            outcome.absent = [
                person.student for person in self._roster.people if person.student not in present
            ]
        return outcome

    # -- who

    def _people(self, owned: Iterable[Owner]) -> tuple[dict[Owner, Person], dict[Owner, Line]]:
        """The person of each owner who has one, and a line for each."""
        people: dict[Owner, Person] = {}
        lines: dict[Owner, Line] = {}
        claims: defaultdict[str, list[Owner]] = defaultdict(list)
        for owner in owned:
            line = lines[owner] = Line(described(owner))
            person = self._person(owner, line)
            if person is not None:
                people[owner], line.student = person, person.student
                claims[person.student].append(owner)
        for student, owners in claims.items():
            if len(owners) > 1:
                who = ", ".join(described(owner) for owner in owners)
                for owner in owners:
                    lines[owner].state, lines[owner].open = _AMBIGUOUS, True
                    lines[owner].notes.append(
                        f"{len(owners)} people would be {student}: {who}; {self._cure()}"
                    )
                    lines[owner].student = ""
        return people, lines

    def _person(self, owner: Owner, line: Line) -> Person | None:
        if self._roster is None:
            student = own_id(self._platform, owner)
            if student:
                return Person(student)
            line.state, line.open = _UNMATCHED, True
            line.notes.append("the name gives no id; name the person in a --roster")
            return None
        match = self._roster.find(owner)
        if match.person is None:
            line.state, line.open = (_AMBIGUOUS if match.several else _UNMATCHED), True
            several = ", ".join(person.student for person in match.several)
            line.notes.append(f"could be {several}; {self._cure()}" if several else "is not in the roster")
        return match.person

    def _cure(self) -> str:
        column = {"moodle": "its participant number", "ilias": "its login", "canvas": "its Canvas ID"}
        what = column.get(self._platform, "its id")
        return f"give each {what} in the roster" if self._roster else f"use a --roster with {what}"

    # -- one submission

    def _one(self, owner: Owner, person: Person, handed: Sequence[Handed], line: Line) -> None:
        choice = choose(handed, self._notebooks, self._limits)
        line.notes += choice.notes
        if choice.late:
            line.notes.insert(0, "late")
        before = self._record.get(person.student)
        if before is not None and not self._replace and is_somebody_else(before, self._platform, owner):
            line.state, line.open = _AMBIGUOUS, True
            line.notes.insert(
                0,
                f"{person.student} was {before.label} {before.number} when it was collected before; "
                f"{self._cure()}",
            )
            return
        if choice.problem:
            line.state, line.open = _REFUSED, True
            line.notes.insert(0, choice.problem)
            return
        time = choice.time or _listed_time(owner, person)
        submission = Submission(person.student, self._assignment, choice.files, time, choice.version)
        try:
            self._place(submission, line)
        except OSError as error:
            problem = storage_error(error, self._course.submitted(person.student, self._assignment))
            if isinstance(problem, StorageError):
                raise problem from error
            line.state, line.open = _REFUSED, True
            line.notes.insert(0, str(problem).replace("grade again", "collect again"))
            return
        if line.state != _KEPT:
            self._record[person.student] = self._collected(owner, person, choice)

    def _place(self, submission: Submission, line: Line) -> None:
        state = state_of(self._course, submission, self._record.get(submission.student))
        if state is State.SAME:
            line.state = state.value
            if not self._dry_run and set_time(self._course, submission):
                line.notes.append("its time is known now")
            return
        if state in (State.OLDER, State.UNCLEAR) and not self._replace:
            line.state, line.open = _KEPT, state is State.UNCLEAR
            reason = "is older" if state is State.OLDER else "differs, and nothing says which is newer"
            line.notes.insert(0, f"the one in the archive {reason}; --replace takes it")
            return
        line.state = state.value if state is State.NEW else _REPLACED
        if state is State.NEWER:
            line.notes.insert(0, "newer than the one that was there")
        if not self._dry_run:
            kept = place(self._course, submission)
            if kept is not None:
                line.notes.append(f"the earlier one: {kept.relative_to(self._course.root)}")

    def _collected(self, owner: Owner, person: Person, choice: Choice) -> Collected:
        before = self._record.get(person.student)
        if self._platform == "folder" and before is not None and before.platform != "folder":
            # One that came by mail, say: the way back still leads to the platform.
            return replace(before, version=(), archive=self._archive.name)
        return Collected(
            platform=self._platform,
            label=owner.label,
            name=person.name or owner.name,
            login=owner.login or person.login,
            number=owner.number or person.number,
            version=choice.version,
            late=choice.late,
            archive=self._archive.name,
        )

    def _write_record(self) -> None:
        if not self._record:
            return
        try:
            write_record(self._course, self._assignment, self._record)
        except OSError as error:
            raise storage_error(error, self._course.downloaded_dir(self._assignment)) from error

    # -- what is left

    def _keep_leftover(self) -> str:
        """Copy what was not placed to where it can be looked at; where that is, in words."""
        if not self._leftover:
            return ""
        root = self._course.downloaded_dir(self._assignment) / "unmatched"
        if self._archive.resolve().is_relative_to(root.resolve()):
            return f"they were left in {self._archive}"
        folder = root / (self._archive.resolve().stem or "archive")
        if self._dry_run:
            return f"they would be copied to {folder.relative_to(self._course.root)}/"
        try:
            if folder.is_dir():
                shutil.rmtree(folder)  # our own copies of an earlier run
            for entry in self._leftover:
                try:
                    replace_file(folder / entry.path, entry.read())
                except DamagedFile:
                    continue  # it stays in the archive, and its line says why
        except OSError as error:
            raise storage_error(error, folder) from error
        return f"they are in {folder.relative_to(self._course.root)}/ (and unchanged in the archive)"


def _listed_time(owner: Owner, person: Person) -> datetime | None:
    """The roster's time, unless the roster is the worksheet of another assignment: its numbers are others."""
    other = owner.number and person.number and owner.number != person.number
    return None if other else person.time


# -- what is shown


def _show(outcome: Outcome, options: argparse.Namespace) -> None:
    everything = options.dry_run or options.all
    shown = [line for line in outcome.lines if everything or line.open or line.notes]
    if shown:
        table = console.table(
            ("student", "left"), ("in the archive", "left"), ("what", "left"), ("notes", "left")
        )
        for line in shown:
            notes = "\n".join(clean_text(note) for note in line.notes)
            style = "bold red" if line.open else ""
            table.add_row(line.student or "–", line.label, Text(line.state, style=style), notes)
        console.console().print(table)
    counts = Counter(line.state for line in outcome.lines)
    found = ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state]) or "nothing"
    would = "would be collected" if options.dry_run else "collected"
    print(f"{options.assignment}: {len(outcome.lines)} submissions; {found} ({would})")
    if outcome.absent:
        some = ", ".join(outcome.absent if everything else outcome.absent[:8])
        more = "" if everything or len(outcome.absent) <= 8 else " … (--all names them)"
        print(f"{len(outcome.absent)} of the roster handed in nothing: {some}{more}")
    for message in outcome.ignored:
        print(f"left out: {message}", file=sys.stderr)
    for message in outcome.refused:
        print(f"refused: {message}", file=sys.stderr)
    for name in outcome.unknown:
        print(f"whose is this? {name}", file=sys.stderr)
    if outcome.left:
        print(f"files that were not placed: {outcome.left}", file=sys.stderr)
    if options.dry_run:
        print("nothing was written (--dry-run)")
    elif counts.keys() & {State.NEW.value, _REPLACED, State.SAME.value}:
        print(f"next: autograder grade {options.assignment}")
