"""What the commands print: progress, tables and messages.

Results go to stdout, progress and complaints to stderr. On a terminal there is a live bar with counts and the
remaining time; elsewhere plain lines. Text that came from a submission loses control characters first, so
that it cannot drive the terminal.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from autograder import datasets
from autograder.config import Config
from autograder.display import clean_text, shorten
from autograder.models import NotebookResult, Outcome, SubmissionResult, TaskKind

__all__ = [
    "Ticker",
    "console",
    "first_message",
    "notebook_report",
    "points",
    "print_json",
    "say_data",
    "short",
    "table",
]

_PLAIN_WIDTH = 160
_STYLES = {Outcome.PASSED: "green", Outcome.ENGINE_ERROR: "bold red", Outcome.FAILED: "yellow"}


def console(*, stderr: bool = False) -> Console:
    """A console that never reads markup in what it prints; wide lines where there is no terminal."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def print_json(value: object) -> None:
    """``value`` on stdout; ASCII only, so that a submission's odd characters stay escaped."""
    json.dump(value, sys.stdout, indent=2)
    print()


def say_data(settings: Config, assignments: Sequence[str], choice: str) -> None:
    """Which data sets these assignments are graded with, on stderr."""
    sources = [path for name in assignments for path in settings.course.source_notebooks(name)]
    for name in datasets.wanted(path.read_bytes() for path in sources):
        print(datasets.describe(name, choice), file=sys.stderr)


def points(score: float | None) -> str:
    """``score`` for people: at most two decimals, "–" for none."""
    return "–" if score is None else f"{round(score, 2):g}"


def short(text: str | None, limit: int = 96) -> str:
    """The first line of ``text``, safe to print."""
    lines = clean_text(text).strip().splitlines()
    line = lines[0] if lines else ""
    return line if len(line) <= limit else line[: limit - 1] + "…"


def first_message(result: NotebookResult) -> str:
    """The one message that says most about ``result``: its own, a known mistake, a failure."""
    if result.message:
        return short(result.message)
    for cell in result.cells:
        if cell.outcome in (Outcome.TIMEOUT, Outcome.MEMORY, Outcome.HOSTILE):
            return short(f"cell {cell.index + 1}: {cell.message or cell.outcome}")
    failed = [
        (task, check)
        for task in result.tasks
        for check in task.checks
        if check.outcome not in (Outcome.PASSED, Outcome.NOT_RUN)
    ]
    named = [pair for pair in failed if pair[1].mistake] or failed
    if not named:
        return ""
    task, check = named[0]
    summary = check.explanation.summary if check.explanation else str(check.outcome)
    return short(summary if summary.startswith(task.id) else f"{task.id}: {summary}")


class Ticker(AbstractContextManager["Ticker"]):
    """Progress over ``total`` submissions on stderr."""

    def __init__(self, total: int, label: str = "Grading") -> None:
        self._console = console(stderr=True)
        self._total, self._done, self._counts = total, 0, Counter[str]()
        self._live: Progress | None = None
        if self._console.is_terminal:
            self._live = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[counts]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._live.add_task(label, total=total, counts="starting the sandbox …")

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        elif self._total:
            print(f"grading {self._total} submissions …", file=sys.stderr, flush=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def tick(self, result: SubmissionResult) -> None:
        """One more is done."""
        self._done += 1
        full = result.outcome is Outcome.PASSED
        again = result.outcome is Outcome.ENGINE_ERROR
        self._counts["complete" if full else "again" if again else "not complete"] += 1
        counts = ", ".join(f"{count} {name}" for name, count in self._counts.items())
        if self._live is not None:
            self._live.update(self._task, completed=self._done, counts=counts)
        else:
            score = f"{points(result.score)}/{points(result.max_score)}"
            count = f"[{self._done:>{len(str(self._total))}}/{self._total}]"
            line = f"{result.student} {result.assignment} {score} {result.outcome}"
            print(count, clean_text(line), file=sys.stderr, flush=True)

    def say(self, message: str) -> None:
        """A line that stays, above the bar."""
        self._console.print(Text(clean_text(message)))


def table(*columns: tuple[str, str]) -> Table:
    """An empty table of ``(heading, "left" or "right")`` columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, justify in columns:
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    return table


def notebook_report(result: NotebookResult, path: str) -> Text:
    """A graded file for an instructor at a terminal: a line a task, the message of what failed."""
    text = Text()
    head = f"{clean_text(path)}  {points(result.score)}/{points(result.max_score)}  {result.outcome}\n"
    text.append(head, style="bold")
    if not result.sandboxed:
        text.append("  not sandboxed: this score is no official result\n", style="bold red")
    for note in (result.message, *result.notices):
        if note:
            text.append(f"  {shorten(clean_text(note), 500)}\n", style="italic")
    for task in result.tasks:
        manual = task.kind is TaskKind.MANUAL
        score = (
            f"by hand, up to {points(task.max_score)}"
            if manual
            else f"{points(task.score)}/{points(task.max_score)}"
        )
        mark = "·" if manual else "?" if task.score is None else "✓" if task.score >= task.max_score else "✗"
        mark = "✗" if mark == "✓" and task.outcome is not Outcome.PASSED else mark
        kind = "  in-kernel" if task.kind is TaskKind.IN_KERNEL else ""
        text.append(f"  {mark} {clean_text(task.id)}  {score}{kind}\n", style=_STYLES.get(task.outcome, ""))
        for check in task.checks:
            if check.outcome not in (Outcome.PASSED, Outcome.NOT_RUN):
                named = f" [{clean_text(check.mistake)}]" if check.mistake else ""
                text.append(f"      {clean_text(check.id)}: {check.outcome}{named}\n")
                for line in shorten(clean_text(check.message), 1500).splitlines():
                    text.append(f"        {line}\n", style="dim")
    return text
