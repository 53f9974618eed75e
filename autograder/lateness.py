"""When a submission was handed in, and what being late costs.

nbgrader's exchange writes ``timestamp.txt`` with the format and the time zone of its configuration. nbgrader
itself reads UTC right and others not: it takes ``+0200`` for 200 seconds, and ``CEST`` for UTC. Here both are
what they say, so that nobody is late by an offset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

from autograder.gradebook_rows import total

__all__ = ["Lateness", "as_utc"]

_ZONE: Final = re.compile(r"[A-Z][A-Za-z_]+(/[A-Z][A-Za-z_-]+)+")
"""The name of a time zone, and never the path of a file: a student may have written it."""


def as_utc(text: str, zone: str = "") -> datetime | None:
    """The time that ``text`` says, as UTC without a zone (nbgrader's way); None when it says none.

    An abbreviation such as CEST is one of ``zone`` (``Europe/Berlin``) where that has it, else what the
    system knows under this name, else UTC, which is also what a time without a zone is in.
    """
    from dateutil import parser, tz

    names: list[str] = []

    def offset(name: str | None, seconds: int | None) -> tzinfo | None:
        if seconds is not None and name not in ("UTC", "GMT", "Z"):
            fixed: tzinfo = tz.tzoffset(name, seconds)
            return fixed
        names.extend([name] if name else [])
        return None

    first, _, last = text.rpartition(" ")
    named = _ZONE.fullmatch(last)
    try:
        time: datetime = parser.parse(first if named else text, tzinfos=offset)
        if time.tzinfo is None:
            if named:
                time = time.replace(tzinfo=tz.gettz(last))
            elif names:
                time = _in_zone(time, names[0], tz.gettz(zone) if zone else None)
        return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError):
        return None


def _in_zone(time: datetime, name: str, zone: tzinfo | None) -> datetime:
    from dateutil import tz

    for fold in (0, 1):  # the hour that comes twice in autumn has two names
        there = time.replace(tzinfo=zone, fold=fold)
        if zone is not None and there.tzname() == name:
            return there
    return time.replace(tzinfo=tz.gettz(name) or UTC)


class Lateness:
    """The rules of the course at ``root``, as its ``nbgrader_config.py`` has them; read when first needed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._plugin: Any = None
        self._settings: Any = None

    def handed_in(self, text: str) -> datetime | None:
        """When a submission was handed in whose ``timestamp.txt`` says ``text``, in UTC."""
        if not text:
            return None
        utc = text.endswith(("UTC", "Z")) or text[-1:].isdigit()
        return as_utc(text, "" if utc else self._config().Exchange.get("timezone", ""))

    def penalty(self, submission: Any, due: datetime | None, grades: Iterable[Any]) -> float | None:
        """What nbgrader's plugin takes off a notebook with these Grade rows: at most its score, or None.

        ``submission`` is its SubmittedAssignment row, ``due`` the due date of the assignment.
        """
        if due is None or submission.timestamp is None:
            return None
        late_s = (submission.timestamp - due - (submission.extension or timedelta())).total_seconds()
        if late_s <= 0:
            return None
        if self._plugin is None:
            from nbgrader.preprocessors import AssignLatePenalties

            assign = AssignLatePenalties(config=self._config())
            assign.init_plugin()
            self._plugin = assign.plugin_inst
        score = sum(total(grade) for grade in grades)
        penalty = self._plugin.late_submission_penalty(submission.student_id, score, late_s)
        return None if penalty is None else min(max(float(penalty), 0.0), score)

    def _config(self) -> Any:
        if self._settings is None:
            from autograder.nbgrader_settings import load

            self._settings = load(self._root)
        return self._settings
