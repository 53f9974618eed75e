"""``autograder warm``: start the judge that stays, or end it.

Like :mod:`autograder.cli` it loads only ``argparse`` until the command runs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from autograder.errors import AutograderError, StorageError

if TYPE_CHECKING:
    from autograder.config import Config

__all__ = ["add", "command"]

_START_S = 180.0
_LOG = "warm.log"


def add(
    commands: Any, parents: Sequence[argparse.ArgumentParser], run: Callable[[argparse.Namespace], int]
) -> None:
    """Add the command to ``commands``; ``run`` is called with the options."""
    warm = commands.add_parser(
        "warm",
        parents=list(parents),
        help="keep a judge ready, so that grading and checking start at once",
        description="Start a judge in the background that has imported everything. Commands that grade this "
        "course use it as long as suites, notebooks, engine and data are those it was made from; else they "
        "start their own, as without it. It holds PyTorch in memory twice: for the judge, for the sandboxes.",
    )
    warm.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help="default: all")
    warm.add_argument(
        "--minutes", type=_minutes, default=30.0, metavar="N", help="end after N idle ones (default: 30)"
    )
    warm.add_argument("--stop", action="store_true", help="end it now")
    warm.add_argument("--foreground", action="store_true", help="stay in this terminal")
    warm.set_defaults(run=run)


def _minutes(text: str) -> float:
    number = float(text)
    if not 0 < number <= 7 * 24 * 60:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and a week")
    return number


def command(options: argparse.Namespace, settings: Config, assignments: Sequence[str]) -> int:
    """Do what the options say; the exit code."""
    from autograder import resident
    from autograder.devices import device_of
    from autograder.jobs import Setup

    if options.stop:
        print("ended" if resident.stop(settings.course) else "there was no warm judge")
        return 0
    for name in assignments:
        settings.course.source_notebooks(name)  # a UsageError with the known names when there is none
    if options.foreground:
        resident.run(
            Setup(
                settings.course,
                tuple(sorted(assignments)),
                settings.limits,
                device_of(options.device),
                not options.unsafe_no_sandbox,
                settings.secret(),
                data=options.data or settings.data,
            ),
            options.minutes * 60,
        )
        return 0
    if resident.stop(settings.course):
        print("the one that was there has been ended", file=sys.stderr)
    return _start(options, settings, assignments)


def _start(options: argparse.Namespace, settings: Config, assignments: Sequence[str]) -> int:
    import subprocess  # here, as every command imports this module

    from autograder import resident

    command = [sys.executable, "-m", "autograder", "warm", "--foreground", "--course", str(settings.root)]
    command += ["--minutes", str(options.minutes), "--device", options.device]
    command += ["--data", options.data] if options.data else []
    command += ["--unsafe-no-sandbox"] if options.unsafe_no_sandbox else []
    settings.secret()  # its folder is there from now on
    path = settings.course.secret_path.with_name(_LOG)
    started = time.monotonic()
    try:
        with open(path, "wb") as log:
            os.chmod(path, 0o600)
            process = subprocess.Popen(
                [*command, *assignments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=settings.root,
            )
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}; make room or mend its rights") from error
    while resident.running(settings.course) is None:
        if process.poll() is not None or time.monotonic() - started > _START_S:
            process.kill()
            text = path.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
            raise AutograderError(
                f"the judge did not start: {text.removeprefix('error: ') or 'it took too long'}"
            )
        time.sleep(0.05)
    names = ", ".join(assignments)
    print(
        f"warm after {time.monotonic() - started:.1f} s: {names}. Commands of this course use it; it ends "
        f"{options.minutes:g} minutes after the last one, or by autograder warm --stop"
    )
    return 0
