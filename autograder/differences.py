"""What differs between two results of one submission, check by check and message by message. Pure.

A result is a list of notebooks as in ``docs/json.md``: what the ledger stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["CheckChange", "TaskChange", "notes", "task_changes", "tasks_of"]

Notebooks = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class CheckChange:
    """One check that ended otherwise; a side is None where there was no such check."""

    id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def verdict(self) -> bool:
        """Whether outcome, points or mistake differ, and not the words alone."""
        if self.before is None or self.after is None:
            return True
        return any(self.before[key] != self.after[key] for key in ("outcome", "score", "points", "mistake"))

    def text(self) -> str:
        """One line."""
        if self.before is not None and self.after is not None and not self.verdict:
            first, second = _first_difference(self.before["message"], self.after["message"])
            return f"{self.id}: the message reads {second!r}, it read {first!r}"
        return f"{self.id}: {_ended(self.before)} → {_ended(self.after)}"


@dataclass(frozen=True, slots=True)
class TaskChange:
    """One task with something different. ``before`` and ``after`` are points, None for none."""

    notebook: str
    id: str
    before: float | None
    after: float | None
    max_score: float
    checks: tuple[CheckChange, ...]

    @property
    def verdict(self) -> bool:
        """Whether more than words differ."""
        return self.before != self.after or any(check.verdict for check in self.checks)


def tasks_of(notebooks: Notebooks) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The tasks of a result by notebook and id."""
    return {(nb["notebook"], task["id"]): task for nb in notebooks for task in nb["tasks"]}


def task_changes(before: Notebooks, after: Notebooks) -> tuple[TaskChange, ...]:
    """The tasks that differ, in the order of ``after``; those that it does not have come last."""
    old, new = tasks_of(before), tasks_of(after)
    found = []
    for name in dict.fromkeys([*new, *old]):
        was, now = old.get(name, {}), new.get(name, {})
        change = TaskChange(
            notebook=name[0],
            id=name[1],
            before=was.get("score"),
            after=now.get("score"),
            max_score=(now or was)["max_score"],
            checks=_check_changes(was.get("checks", ()), now.get("checks", ())),
        )
        if change.checks or change.before != change.after:
            found.append(change)
    return tuple(found)


def _check_changes(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> tuple[CheckChange, ...]:
    old, new = ({check["id"]: check for check in checks} for checks in (before, after))
    changes = [CheckChange(name, old.get(name), new.get(name)) for name in dict.fromkeys([*new, *old])]
    return tuple(
        change
        for change in changes
        if change.verdict
        or (change.before or {}).get("message") != (change.after or {}).get("message")
        or (change.before or {}).get("seed") != (change.after or {}).get("seed")
    )


def notes(before: Notebooks, after: Notebooks) -> list[str]:
    """What differs outside of tasks: a notebook's outcome, its message, notices, how its cells ended."""
    found: list[str] = []
    old, new = ({nb["notebook"]: nb for nb in notebooks} for notebooks in (before, after))
    for name in dict.fromkeys([*new, *old]):
        was, now = old.get(name, {}), new.get(name, {})
        for key in ("outcome", "message", "notices"):
            if was.get(key) != now.get(key):
                found.append(f"{name}: {key} {was.get(key)!r} → {now.get(key)!r}")
        cells = [{cell["index"]: cell for cell in nb.get("cells", ())} for nb in (was, now)]
        for index in sorted(cells[0].keys() | cells[1].keys()):
            ends = [
                (side.get(index, {}).get("outcome"), side.get(index, {}).get("message")) for side in cells
            ]
            if ends[0] != ends[1]:
                shown = [" ".join(str(part) for part in end if part) or "not there" for end in ends]
                found.append(f"{name}, cell {index + 1}: {shown[0]} → {shown[1]}")
    return found


def _ended(check: Mapping[str, Any] | None) -> str:
    if check is None:
        return "no such check"
    return f"{check['outcome']} [{check['mistake']}]" if check["mistake"] else str(check["outcome"])


def _first_difference(before: str | None, after: str | None) -> tuple[str, str]:
    """The first lines in which two texts differ."""
    old, new = (before or "").splitlines(), (after or "").splitlines()
    for number in range(max(len(old), len(new))):
        pair = ["".join(lines[number : number + 1]) for lines in (old, new)]
        if pair[0] != pair[1]:
            return pair[0], pair[1]
    return "", ""
