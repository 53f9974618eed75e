"""The command line: ``autograder release | collect | grade | export | …``; ``--help`` lists all.

Only ``argparse`` is loaded before the arguments are understood, so ``--help`` answers at once. Errors are one
message that ends with a cure; a traceback appears only with ``--debug``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autograder import __version__, platform_commands, warming
from autograder.errors import AutograderError, ConfigError, UsageError

if TYPE_CHECKING:
    from autograder.config import Config
    from autograder.models import NotebookResult

__all__ = ["main"]

_EXIT_CODES = """\
exit codes:
  0    done; of grade and check: every submission has an outcome, whatever its score
  1    the engine could not do it: a submission has no score (ENGINE_ERROR), no sandbox, no gradebook;
       of collect and export: something is left for you, and is listed;
       of demo: a golden submission differs from what it must get; of replay: a verdict differs
  2    the command, its arguments or the course's settings are wrong
  130  stopped by Ctrl-C; what was graded is recorded
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("\nstopped; what was graded is recorded. Run the same command again to go on.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `autograder … | head`
        sys.stderr.close()
        return 1
    except AutograderError as error:
        if options.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, (UsageError, ConfigError)) else 1
    except Exception as error:
        if options.debug:
            raise
        name = type(error).__name__
        print(f"error: the engine failed ({name}: {error}); --debug shows where", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="autograder",
        description="An auto-graded PyTorch course on nbgrader: release, then grade in a sandbox.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"autograder {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--course", type=Path, metavar="DIR", help="the course's folder (default: found from here upwards)"
    )
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    running = argparse.ArgumentParser(add_help=False)
    running.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="cpu",
        help="where checks may put tensors; auto takes the best one there is (default: cpu)",
    )
    running.add_argument(
        "--data",
        choices=("auto", "sample", "full"),
        help="MNIST's shipped sample or the full set; auto takes the full set where this machine has it "
        "(default: the course's setting, else auto)",
    )
    running.add_argument(
        "--unsafe-no-sandbox",
        action="store_true",
        help="run student code without a sandbox, with your rights; every report is stamped",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    release = commands.add_parser(
        "release",
        parents=[common],
        help="make release/, solutions/ and gradebook.db from source/",
        description="Make the student version, the executed solution and the gradebook of each assignment. "
        "Fails when a solution does not pass its own checks. Running it again changes nothing.",
    )
    release.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help="default: all")
    release.add_argument("--check", action="store_true", help="write nothing; exit 1 when not current")
    release.set_defaults(run=_release)

    grade = commands.add_parser(
        "grade",
        parents=[common, running],
        help="grade submitted/<student>/<assignment>/",
        description="Grade submissions: scores into gradebook.db, notebooks into autograded/, pages into "
        "feedback/. A submission that was graded already is skipped unless its content, the suite, the "
        "source, the engine or the settings changed since; a stopped or killed run goes on where it was.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    grade.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help="default: all")
    grade.add_argument(
        "--student", action="append", default=[], metavar="ID", help="only this one; repeatable"
    )
    grade.add_argument(
        "--workers", type=_positive, metavar="N", help="judge processes (default: one a processor)"
    )
    grade.add_argument("--force", action="store_true", help="grade again what is graded already")
    grade.add_argument("--json", action="store_true", help="print results as JSON instead of the table")
    grade.add_argument("--profile", action="store_true", help="say where the time went, stage by stage")
    grade.set_defaults(run=_grade)

    warming.add(commands, [common, running], _warm)
    platform_commands.add(commands, common, _config)

    regrade = commands.add_parser(
        "regrade",
        parents=[common, running],
        help="show who would gain or lose points after a change, then write",
        description="Grade again what was graded from other content (another suite, engine, data set …), "
        "show the points that would change and why, and write them when you agree.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    regrade.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help="default: all")
    regrade.add_argument(
        "--student", action="append", default=[], metavar="ID", help="only this one; repeatable"
    )
    regrade.add_argument(
        "--workers", type=_positive, metavar="N", help="judge processes (default: one a processor)"
    )
    regrade.add_argument("--dry-run", action="store_true", help="show, and write nothing")
    regrade.add_argument("--yes", action="store_true", help="write without asking")
    regrade.add_argument("--force", action="store_true", help="also what was graded from the same content")
    regrade.set_defaults(run=_regrade)

    replay = commands.add_parser(
        "replay",
        parents=[common],
        help="repeat one stored result and compare",
        description="Grade a submission again under the conditions stored with its result, and compare check "
        "by check and message by message. Nothing is written. Exit code 1 when a verdict differs.",
    )
    replay.add_argument("student", metavar="STUDENT")
    replay.add_argument("assignment", metavar="ASSIGNMENT")
    replay.set_defaults(run=_replay)

    check = commands.add_parser(
        "check",
        parents=[common, running],
        help="grade notebook files without a gradebook",
        description="Grade notebook files and print the result. Nothing is recorded.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    check.add_argument("--assignment", "-a", required=True, metavar="A", help="the assignment they answer")
    check.add_argument("--json", action="store_true", help="print JSON (docs/json.md)")
    check.add_argument("--seed", type=int, metavar="N", help="seed of the hidden inputs (default: 0)")
    check.add_argument("--feedback", type=Path, metavar="DIR", help="write a feedback page for each")
    check.set_defaults(run=_check)

    mutate = commands.add_parser(
        "mutate",
        parents=[common, running],
        help="mutation testing of a suite: which changed solutions keep their points?",
        description="Change the instructor's solutions in small ways (operators, constants, left out "
        "statements, swapped arguments …), grade every mutant, and list those that keep all points. A mutant "
        "that is right as well is marked in the suite's equivalent.toml. Exit code 1 below the goal.",
    )
    mutate.add_argument("assignment", metavar="ASSIGNMENT")
    mutate.add_argument("--task", action="append", default=[], metavar="ID", help="only this one; repeatable")
    mutate.add_argument(
        "--goal", type=float, default=0.95, metavar="SHARE", help="what must be killed (default: 0.95)"
    )
    mutate.add_argument("--limit", type=_positive, metavar="N", help="a sample of N, always the same")
    mutate.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the hidden inputs (default: 0)"
    )
    mutate.add_argument(
        "--workers", type=_positive, metavar="N", help="judge processes (default: one a processor)"
    )
    mutate.add_argument("--json", type=Path, metavar="FILE", help="write all verdicts to FILE")
    mutate.add_argument("--list", action="store_true", help="list the mutants and grade none")
    mutate.set_defaults(run=_mutate)

    calibrate = commands.add_parser(
        "calibrate",
        parents=[common, running],
        help="measure the thresholds of stochastic checks with golden submissions",
        description="Grade the right and the known-bad golden submissions of an assignment with many seeds, "
        "print the values, and store each threshold: the wished one, or the strictest that rejects at most 1 "
        "right submission in 1,000. Writes calibration.json beside the suite, and docs/calibration/.",
    )
    calibrate.add_argument(
        "assignments", nargs="*", metavar="ASSIGNMENT", help="default: all with thresholds"
    )
    calibrate.add_argument(
        "--seeds", type=_positive, default=20, metavar="N", help="verdicts of each variant (default: 20)"
    )
    calibrate.add_argument(
        "--workers", type=_positive, metavar="N", help="judge processes (default: one a processor)"
    )
    calibrate.add_argument("--threshold", metavar="NAME", help="only this one")
    calibrate.add_argument(
        "--check", action="store_true", help="measure nothing; exit 1 when what is stored is not current"
    )
    calibrate.set_defaults(run=_calibrate)

    data = commands.add_parser(
        "data",
        parents=[common],
        help="say which data sets are in use; --fetch gets the full ones",
        description="Show which data sets notebooks are served while they are graded, and where they lie.",
    )
    data.add_argument(
        "--fetch", action="store_true", help="download what is missing into scikit-learn's data home"
    )
    data.set_defaults(run=_data)

    setup = commands.add_parser(
        "setup-course",
        help="let an existing nbgrader course grade with this engine",
        description="Add the lines to the course's nbgrader_config.py with which nbgrader autograde and "
        "formgrader's button grade in the sandbox, and make the course's secret. Running it again changes "
        "nothing. Changed files are kept with the ending .before-autograder.",
    )
    setup.add_argument(
        "folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="default: this folder"
    )
    setup.add_argument("--suites", metavar="FOLDER", help="where the course keeps its suites, seen from DIR")
    setup.add_argument("--dry-run", action="store_true", help="say what would change, and write nothing")
    setup.add_argument("--debug", action="store_true", help="show the traceback of an error")
    setup.set_defaults(run=_setup_course)

    demo = commands.add_parser(
        "demo",
        parents=[common],
        help="grade a sample class and compare it with what it must get",
        description="Grade a sample class of golden submissions in demo/, a copy of the course.",
    )
    demo.add_argument(
        "--workers", type=_positive, default=2, metavar="N", help="judge processes (default: 2)"
    )
    demo.set_defaults(run=_demo)
    return parser


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return number


def _config(options: argparse.Namespace) -> Config:
    from autograder import config

    start: Path | None = options.course
    if start is not None and not start.is_dir():
        raise UsageError(f"--course {start} is no folder")
    return config.load(start)


def _assignments(options: argparse.Namespace, settings: Config) -> tuple[str, ...]:
    names: tuple[str, ...] = tuple(dict.fromkeys(options.assignments)) or settings.course.assignments()
    if not names:
        raise UsageError(
            f"{settings.root / 'source'} has no assignments; name the course's folder: --course DIR"
        )
    return names


def _release(options: argparse.Namespace) -> int:
    settings = _config(options)
    names = _assignments(options, settings)
    for name in names:
        settings.course.source_notebooks(name)
    from autograder import schedule
    from autograder.release import release

    # Not "autograde": solution notebooks are for reading, pictures included. With the shipped sample, so that
    # every machine makes the same.
    with schedule.Checker(
        settings.course, names, limits=settings.limits, execution="generate", data="sample"
    ) as check:

        def grade(assignment: str, path: Path) -> NotebookResult:
            print(f"running {assignment}/{path.name} …", file=sys.stderr, flush=True)
            return check(assignment, path)

        report = release(settings.course, names, grade=grade, write=not options.check)
    for assignment in report.assignments:
        state = f"{len(assignment.changed)} files changed" if assignment.changed else "current"
        print(f"{assignment.name}: {assignment.tasks} tasks, {assignment.points:g} points, {state}")
        for path in assignment.changed:
            print(f"  {path}")
    print(f"gradebook: {report.gradebook}")
    if options.check and not report.current:
        print("not current; run: autograder release", file=sys.stderr)
        return 1
    return 0


def _grade(options: argparse.Namespace) -> int:
    settings = _config(options)
    names = _assignments(options, settings)
    _warn_unsafe(options)
    from autograder import commands

    return commands.grade(options, settings, names)


def _warm(options: argparse.Namespace) -> int:
    settings = _config(options)
    names = _assignments(options, settings)
    _warn_unsafe(options)
    return warming.command(options, settings, names)


def _regrade(options: argparse.Namespace) -> int:
    settings = _config(options)
    names = _assignments(options, settings)
    _warn_unsafe(options)
    from autograder import regrade

    return regrade.command(options, settings, names)


def _replay(options: argparse.Namespace) -> int:
    from autograder import replay

    return replay.command(options, _config(options))


def _check(options: argparse.Namespace) -> int:
    settings = _config(options)
    settings.course.source_notebooks(options.assignment)
    for path in options.notebooks:
        if not path.is_file():
            raise UsageError(f"{path} is no file")
    _warn_unsafe(options)
    from autograder import checking

    return checking.check(options, settings)


def _demo(options: argparse.Namespace) -> int:
    from autograder import demo

    return demo.run(_config(options), workers=options.workers)


def _setup_course(options: argparse.Namespace) -> int:
    from autograder import setup_course

    if not options.folder.is_dir():
        raise UsageError(f"{options.folder} is no folder")
    return setup_course.run(options.folder.resolve(), suites=options.suites, dry_run=options.dry_run)


def _mutate(options: argparse.Namespace) -> int:
    from autograder import mutate

    settings = _config(options)
    return mutate.command(settings, options, options.data or settings.data)


def _calibrate(options: argparse.Namespace) -> int:
    from autograder import calibrate

    settings = _config(options)
    _warn_unsafe(options)
    return calibrate.command(settings, options, options.data or settings.data)


def _data(options: argparse.Namespace) -> int:
    from autograder import fetching

    return fetching.run(_config(options).data, fetch=options.fetch)


def _warn_unsafe(options: argparse.Namespace) -> None:
    if options.unsafe_no_sandbox:
        print("warning: no sandbox: student code runs with your rights; reports are stamped", file=sys.stderr)
