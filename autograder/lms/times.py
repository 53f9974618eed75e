"""When something was handed in, from the few places where a platform says so.

Platforms write local time without saying which: it is read in the time zone that the instructor names, else
in that of this machine. A file's time in a zip is no such place: most platforms put the time of the download
there, and a wrong time costs students late penalties.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from autograder.errors import UsageError

__all__ = ["parse", "stamp", "zone"]

_MONTHS: Final = (
    ("jan",), ("feb",), ("mar", "mär", "mrz"), ("apr",), ("may", "mai"), ("jun",),
    ("jul",), ("aug",), ("sep",), ("oct", "okt"), ("nov",), ("dec", "dez"),
)  # fmt: skip
_WORDS: Final = re.compile(
    r"(\d{1,2})\.? (\w{3})\w*\.? (\d{4})(?:,| at| um)? *(\d{1,2}):(\d\d)(?::(\d\d))? *([ap])?\.?(?:m\.?)?",
    re.IGNORECASE,
)
"""Moodle's: ``Tuesday, 3 March 2026, 2:05 PM`` and ``Dienstag, 3. März 2026, 14:05``."""
_DOTS: Final = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4}),? +(\d{1,2}):(\d\d)(?::(\d\d))?")
_DIGITS: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")


def zone(name: str | None) -> tzinfo | None:
    """The time zone called ``name``, as ``Europe/Berlin``; None: that of this machine."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"there is no time zone {name!r}; names are like Europe/Berlin or UTC") from error


def parse(text: str, local: tzinfo | None) -> datetime | None:
    """The time that ``text`` says, in UTC; None when it says none."""
    text = text.strip()
    try:
        found = _numbers(text)
        when = datetime(*found) if found else datetime.fromisoformat(text.removesuffix(" UTC"))
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC) if text.endswith(" UTC") else _localised(when, local)
        return when.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def stamp(when: datetime) -> str:
    """``when`` as nbgrader's ``timestamp.txt`` has it."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _localised(when: datetime, local: tzinfo | None) -> datetime:
    return when.astimezone() if local is None else when.replace(tzinfo=local)


def _numbers(text: str) -> tuple[int, int, int, int, int, int] | None:
    """Year, month, day, hour, minute, second."""
    if found := _DIGITS.fullmatch(text):
        year, month, day, hour, minute, second = (int(part) for part in found.groups())
        return year, month, day, hour, minute, second
    if found := _DOTS.fullmatch(text):
        day, month, year, hour, minute = (int(part) for part in found.groups()[:5])
        return year, month, day, hour, minute, int(found[6] or 0)
    if found := _WORDS.search(text):
        name = found[2].lower()
        months = [number for number, names in enumerate(_MONTHS, 1) if name in names]
        if not months:
            return None
        hour = int(found[4])
        if found[7]:
            hour = hour % 12 + (12 if found[7].lower() == "p" else 0)
        return int(found[3]), months[0], int(found[1]), hour, int(found[5]), int(found[6] or 0)
    return None
