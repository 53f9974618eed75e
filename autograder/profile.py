"""``autograder grade --profile``: where the time of a class went, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from autograder import console
from autograder.batch import Graded

__all__ = ["STAGES", "Profile"]

STAGES: Mapping[str, tuple[str, str]] = {
    "read": ("judge", "the file is read, locked cells are restored"),
    "control group": ("judge", "a control group for the sandbox"),
    "fork": ("judge", "the zygote starts the sandbox"),
    "jail": ("judge", "the sandbox closes itself off"),
    "cells": ("judge", "the notebook's cells run"),
    "copies": ("judge", "copies of the sandbox for checks"),
    "judge": ("judge", "the suite's checks"),
    "end": ("judge", "the sandbox is ended"),
    "content key": ("writer", "digests of what was graded"),
    "feedback": ("writer", "the page is rendered"),
    "notebook": ("writer", "autograded notebook, page and files are written"),
    "database": ("writer", "one transaction"),
}
"""Stage → who spends the time, and on what."""


class Profile:
    """Sums over a class, stage by stage."""

    def __init__(self) -> None:
        self.submissions = 0
        self._totals: dict[str, float] = {}
        self._largest: dict[str, float] = {}

    def add(self, item: Graded) -> None:
        """Count one more submission."""
        self.submissions += 1
        for stage_s in (*(notebook.stage_s for notebook in item.result.notebooks), item.stage_s):
            for name, took_s in stage_s.items():
                self._totals[name] = self._totals.get(name, 0.0) + took_s
                self._largest[name] = max(self._largest.get(name, 0.0), took_s)

    def table(self, seconds: float, first_s: float, workers: int) -> Table:
        """One line a stage. ``seconds`` is the whole run, ``first_s`` until the first result."""
        made = console.table(
            ("stage", "left"),
            ("process", "left"),
            ("seconds", "right"),
            ("ms a submission", "right"),
            ("largest, ms", "right"),
            ("what", "left"),
        )
        busy = {"judge": 0.0, "writer": 0.0}
        for name in (*STAGES, *sorted(set(self._totals) - set(STAGES))):
            if name not in self._totals:
                continue
            process, what = STAGES.get(name, ("judge", ""))
            total = self._totals[name]
            busy[process] += total
            made.add_row(
                name,
                process,
                f"{total:.2f}",
                f"{total / self.submissions * 1000:.1f}",
                f"{self._largest[name] * 1000:.0f}",
                what,
            )
        judged = f"{workers} judge {'processes' if workers > 1 else 'process'}"
        made.caption = Text(
            f"{self.submissions} submissions in {seconds:.1f} s, the first after {first_s:.1f} s. "
            f"{judged}: {busy['judge']:.1f} s together; writer: {busy['writer']:.1f} s."
        )
        made.caption_justify = "left"
        return made
