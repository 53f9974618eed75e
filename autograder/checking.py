"""``autograder check``: files are graded and shown, nothing is stored."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from autograder import schedule
from autograder.config import Config

__all__ = ["check"]


def check(options: argparse.Namespace, settings: Config) -> int:
    """Grade files without a gradebook; the exit code."""
    choice = options.data or settings.data
    found = schedule.check_files(
        settings.course,
        options.assignment,
        options.notebooks,
        limits=settings.limits,
        seed=options.seed,
        device=options.device,
        sandbox=not options.unsafe_no_sandbox,
        data=choice,
    )
    from autograder import console  # which imports rich: while the judge works

    console.say_data(settings, [options.assignment], choice)
    results = []
    printer = console.console()
    pages = _page_names(options.notebooks)
    for path, result in zip(options.notebooks, found, strict=True):
        results.append(result)
        if not options.json:
            printer.print(console.notebook_report(result, str(path)))
        if options.feedback is not None:
            from autograder import feedback  # and its templates: only where a page is wanted

            page = feedback.write_page(
                options.feedback / pages[path], feedback.render(result, student=path.stem)
            )
            print(f"feedback: {page}", file=sys.stderr)
    if options.json:
        shown = [result.to_json() for result in results]
        console.print_json(shown if len(shown) > 1 else shown[0])
    return 1 if any(result.score is None for result in results) else 0


def _page_names(paths: Sequence[Path]) -> dict[Path, str]:
    """A page name for each notebook: its own, with a number where two would share it."""
    names: dict[Path, str] = {}
    for path in dict.fromkeys(paths):
        name, number = f"{path.stem}.html", 2
        while name in names.values():
            name, number = f"{path.stem}-{number}.html", number + 1
        names[path] = name
    return names
