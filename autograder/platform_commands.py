"""Arguments of ``collect``, ``export`` and ``student``: what has to do with learning platforms.

Like :mod:`autograder.cli` it loads only ``argparse`` until a command runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autograder.config import Config

__all__ = ["add"]


def add(commands: Any, common: argparse.ArgumentParser, load: Callable[[argparse.Namespace], Config]) -> None:
    """Add the commands to ``commands``; ``load`` reads the course's settings."""
    _add_collect(commands, common, load)
    _add_export(commands, common, load)
    _add_student(commands, common, load)


def _add_collect(
    commands: Any, common: argparse.ArgumentParser, load: Callable[[argparse.Namespace], Config]
) -> None:
    collect = commands.add_parser(
        "collect",
        parents=[common],
        help="put a learning platform's download into submitted/",
        description="Read what Moodle, ILIAS or Canvas lets you download, or a folder, and put each "
        "student's notebook into submitted/<student>/<assignment>/. Nothing is guessed: a file that is "
        "nobody's or could be two people's is listed. docs/platforms.md shows the names.",
        epilog="exit codes: 0 everything is in its place; 1 something is left for you, and is listed; 2 the "
        "archive, the roster or the arguments are wrong",
    )
    collect.add_argument(
        "archive",
        type=Path,
        metavar="ARCHIVE",
        help="the zip that you downloaded, or the folder of its files",
    )
    collect.add_argument("assignment", metavar="ASSIGNMENT")
    collect.add_argument(
        "--from",
        dest="platform",
        required=True,
        choices=("moodle", "ilias", "canvas", "folder"),
        help="where it was downloaded; folder: <student>/… or <student>_<notebook>.ipynb",
    )
    collect.add_argument(
        "--roster",
        type=Path,
        metavar="CSV",
        help="names, logins, addresses or numbers to ids; also Moodle's grading worksheet, Canvas's "
        "gradebook",
    )
    collect.add_argument(
        "--timezone",
        metavar="NAME",
        help="of the times that the platform writes, as Europe/Berlin (default: this machine's)",
    )
    collect.add_argument(
        "--replace",
        action="store_true",
        help="also where nothing says that it is newer than what is there; that is kept in downloaded/",
    )
    collect.add_argument("--dry-run", action="store_true", help="show the whole table, and write nothing")
    collect.add_argument("--all", action="store_true", help="show also those that need no look")

    def run(options: argparse.Namespace) -> int:
        from autograder import collecting

        return collecting.command(options, load(options))

    collect.set_defaults(run=run)


def _add_export(
    commands: Any, common: argparse.ArgumentParser, load: Callable[[argparse.Namespace], Config]
) -> None:
    export = commands.add_parser(
        "export",
        parents=[common],
        help="write scores and feedback for a learning platform",
        description="Write the gradebook's scores, points by hand and late penalties included, and the "
        "feedback pages as Moodle, Canvas or ILIAS takes them back, or a plain table with a row a task. "
        "A score that is not final is listed and not written.",
        epilog="exit codes: 0 every submission was written; 1 some were left out, and are listed; 2 the "
        "worksheet or the arguments are wrong",
    )
    export.add_argument("assignments", nargs="+", metavar="ASSIGNMENT")
    export.add_argument("--to", required=True, choices=("moodle", "canvas", "ilias", "csv"))
    export.add_argument(
        "--output", type=Path, required=True, metavar="DIR|FILE", help="a folder, or a file that ends in .csv"
    )
    export.add_argument(
        "--worksheet",
        type=Path,
        metavar="CSV",
        help="the platform's own file to fill in: Moodle's grading worksheet, Canvas's exported "
        "gradebook, the status.csv of ILIAS's plugin. It is not changed",
    )
    export.add_argument("--roster", type=Path, metavar="CSV", help="as for collect")
    export.add_argument(
        "--column", metavar="NAME", help="the column of the worksheet, where its name is another one"
    )
    export.add_argument(
        "--scale", action="store_true", help="convert points where the platform's maximum is another one"
    )
    export.add_argument(
        "--pass",
        dest="passing",
        type=_percent,
        metavar="PERCENT",
        help="ilias: set the status to passed from so many percent on, else to failed",
    )
    export.add_argument(
        "--include-provisional",
        action="store_true",
        help="write also what waits for points by hand or was handed in anew; comments say so",
    )

    def run(options: argparse.Namespace) -> int:
        from autograder import exporting

        return exporting.command(options, load(options))

    export.set_defaults(run=run)


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of percent from 0 to 100")
    return value


def _add_student(
    commands: Any, common: argparse.ArgumentParser, load: Callable[[argparse.Namespace], Config]
) -> None:
    student = commands.add_parser(
        "student",
        parents=[common],
        help="make a folder or a zip to hand out",
        description="Put the released notebooks, a requirements.txt and a page on how to begin into a folder "
        "or a zip for students. It refuses when a solution or a hidden test would be in it.",
    )
    student.add_argument(
        "target", type=Path, metavar="DIR|ZIP", help="a new folder, or a file that ends in .zip"
    )
    student.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help="default: all")

    def run(options: argparse.Namespace) -> int:
        from autograder import handout

        return handout.command(options, load(options))

    student.set_defaults(run=run)
