"""Mutants that are as right as the solution: ``equivalent.toml`` beside the suite.

::

    [[equivalent]]
    task = "affine"
    before = "return W @ x + b"         # the changed lines of the solution cell, indentation does not count
    after = "return b + W @ x"          # what the mutant has there instead; empty where lines are left out
    reason = "a sum of two tensors commutes"

An entry goes by the text of the change, so that it survives changes elsewhere in the cell.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autograder.errors import SuiteError
from autograder.mutation.mutants import Mutant

__all__ = ["EQUIVALENTS", "Equivalent", "load", "match"]

EQUIVALENTS = "equivalent.toml"
_KEYS = frozenset({"task", "before", "after", "reason"})


@dataclass(frozen=True, slots=True)
class Equivalent:
    """One entry: the changed lines ``before`` and ``after`` in the solution cell of ``task``, and why the
    mutant is right."""

    task: str
    before: str
    after: str
    reason: str

    def covers(self, mutant: Mutant) -> bool:
        """Whether it is about ``mutant``."""
        return mutant.task == self.task and mutant.lines == (_plain(self.before), _plain(self.after))


def load(folder: Path) -> tuple[Equivalent, ...]:
    """The entries of the suite in ``folder``; none where it has no such file.

    :raises SuiteError: the file cannot be read, or an entry is incomplete.
    """
    path = folder / EQUIVALENTS
    if not path.is_file():
        return ()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SuiteError(f"{path}: {error}") from error
    entries = data.pop("equivalent", [])
    if data or not isinstance(entries, list):
        raise SuiteError(f"{path}: it holds nothing but [[equivalent]] entries")
    found: list[Equivalent] = []
    for number, entry in enumerate(entries, 1):
        if set(entry) != _KEYS or not all(isinstance(text, str) for text in entry.values()):
            raise SuiteError(f"{path}: entry {number} must have the texts {', '.join(sorted(_KEYS))}")
        one = Equivalent(**entry)
        if not one.reason.strip():
            raise SuiteError(f"{path}: entry {number} ({one.task}) gives no reason")
        if any((one.task, one.before, one.after) == (old.task, old.before, old.after) for old in found):
            raise SuiteError(f"{path}: entry {number} ({one.task}) is there twice")
        found.append(one)
    return tuple(found)


def match(entries: Iterable[Equivalent], mutant: Mutant) -> Equivalent | None:
    """The entry about ``mutant``."""
    return next((entry for entry in entries if entry.covers(mutant)), None)


def _plain(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip("\n").split("\n"))
