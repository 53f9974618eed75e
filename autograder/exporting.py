"""``autograder export``: scores and feedback pages in the files that a learning platform takes back.

Only final scores are written. One that still waits for points by hand, or is older than what was handed in,
is listed instead; ``--include-provisional`` writes it and marks it. One that is not there is never a 0.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from autograder import console
from autograder.config import Config
from autograder.display import clean_text
from autograder.errors import UsageError
from autograder.lms import canvas, ilias, moodle, points_table
from autograder.lms.grades import Grades, Standing, read_grades
from autograder.lms.record import read_record
from autograder.lms.roster import Roster, read_roster
from autograder.lms.tables import Table, read_table
from autograder.lms.writing_out import Export
from autograder.release_files import replace_file
from autograder.staging import storage_error

__all__ = ["command"]


def command(options: argparse.Namespace, settings: Config) -> int:
    """Write the files and say what is in them; the exit code."""
    assignments = tuple(dict.fromkeys(options.assignments))
    _check(options, assignments)
    roster = read_roster(options.roster) if options.roster else None
    graded = {name: read_grades(settings.course, name, settings.limits) for name in assignments}
    wanted, skipped = graded, list[Grades]()
    if options.to != "csv":
        taken = {Standing.FINAL} | ({Standing.PROVISIONAL} if options.include_provisional else set())
        wanted = {
            name: [grades for grades in found if grades.standing in taken] for name, found in graded.items()
        }
        skipped = [grades for found in graded.values() for grades in found if grades.standing not in taken]
    made = _made(options, settings, wanted, roster)
    places = _places(options.output, made)
    for place, data in places.items():
        if options.worksheet and place.resolve() == options.worksheet.resolve():
            raise UsageError(f"{place} is the worksheet itself; name another --output and keep the original")
        try:
            replace_file(place, data)
        except OSError as error:
            raise storage_error(error, place.parent) from error
    _show(options, made, graded, skipped, list(places))
    return 1 if skipped or made.left_out else 0


def _check(options: argparse.Namespace, assignments: Sequence[str]) -> None:
    single = options.to in ("moodle", "ilias")
    if single and len(assignments) > 1:
        raise UsageError(
            f"--to {options.to} takes one assignment: its files belong to one; run it once for each"
        )
    if options.to == "moodle" and options.worksheet is None:
        raise UsageError(
            "--to moodle needs --worksheet FILE: in Moodle open the assignment, then Submissions, "
            "Actions, Download "
            "grading worksheet (the feedback type 'Offline grading worksheet' must be on)"
        )
    if options.to == "csv" and options.worksheet:
        raise UsageError("--to csv fills no --worksheet; leave it out, or name a platform")
    if options.column and len(assignments) > 1:
        raise UsageError("--column names the column of one assignment; run it once for each")
    if options.passing is not None and options.to != "ilias":
        raise UsageError("--pass is for --to ilias; the other platforms know no status")


def _made(
    options: argparse.Namespace,
    settings: Config,
    graded: dict[str, list[Grades]],
    roster: Roster | None,
) -> Export:
    course = settings.course
    if options.to == "csv":
        return points_table.export(graded)
    table: Table | None = read_table(options.worksheet) if options.worksheet else None
    record = {name: read_record(course, name) for name in graded}
    name, *_ = graded
    if options.to == "moodle":
        assert table is not None  # _check asked for it
        return moodle.export(
            course,
            name,
            graded[name],
            table,
            record[name],
            roster,
            column=options.column,
            scale=options.scale,
        )
    if options.to == "ilias":
        return ilias.export(course, name, graded[name], table, record[name], roster, passing=options.passing)
    if table is None:
        return canvas.export_without(graded, record, roster, column=options.column)
    return canvas.export(graded, table, record, roster, column=options.column, scale=options.scale)


def _places(output: Path, made: Export) -> dict[Path, bytes]:
    """Where each file goes: into the folder ``output``, or the table to the file ``output`` and zips beside
    it."""
    if output.suffix.lower() != ".csv":
        return {output / name: data for name, data in made.files.items()}
    places = {}
    for name, data in made.files.items():
        places[output if name.endswith(".csv") else output.with_name(name)] = data
    return places


def _show(
    options: argparse.Namespace,
    made: Export,
    graded: dict[str, list[Grades]],
    skipped: Sequence[Grades],
    places: Sequence[Path],
) -> None:
    rows = [(grades.student, grades.standing.value, grades.reason) for grades in skipped]
    rows += [(student, "left out", reason) for student, reason in made.left_out.items()]
    if rows:
        table = console.table(("student", "left"), ("not exported", "left"), ("why", "left"))
        for student, state, reason in sorted(rows):
            table.add_row(clean_text(student), state, clean_text(reason))
        console.console().print(table)
    for note in made.notes:
        print(f"note: {clean_text(note)}", file=sys.stderr)
    standing = Counter(grades.standing for found in graded.values() for grades in found)
    open_ones = standing[Standing.PROVISIONAL]
    if options.to == "csv" and (open_ones or standing[Standing.NOT_GRADED]):
        print(
            f"{open_ones} submissions are provisional, {standing[Standing.NOT_GRADED]} not graded: "
            "see the column "
            "standing",
            file=sys.stderr,
        )
    elif open_ones and options.include_provisional:
        print(f"{open_ones} of them are provisional (--include-provisional)", file=sys.stderr)
    elif open_ones:
        print("--include-provisional writes provisional scores too, marked as such", file=sys.stderr)
    print(f"{len(made.written)} submissions to {', '.join(graded)} written:")
    for place in places:
        print(f"  {place}")
