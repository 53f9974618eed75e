"""What was collected, for whom the platform said: ``downloaded/<assignment>/collected.json``.

The way back needs it: Moodle's participant number, Canvas's and ILIAS's user, are in no gradebook.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from autograder.errors import UsageError
from autograder.layout import Course
from autograder.release_files import replace_file

__all__ = ["Collected", "read_record", "write_record"]

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Collected:
    """One student in one download. ``label``: the folder or name there; ``file``: the archive's name."""

    platform: str
    label: str
    name: str = ""
    login: str = ""
    number: str = ""
    version: tuple[int, ...] = ()
    late: bool = False
    archive: str = ""


def read_record(course: Course, assignment: str) -> dict[str, Collected]:
    """By student; empty when nothing was collected.

    :raises UsageError: the file was changed by hand and is broken.
    """
    path = _path(course, assignment)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); move it away and collect again") from error
    try:
        return {student: _collected(fields) for student, fields in stored["students"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is damaged ({error!r}); move it away and collect again") from error


def write_record(course: Course, assignment: str, students: Mapping[str, Collected]) -> None:
    """Store all of ``students``, in one step."""
    stored = {"format": _FORMAT, "students": {name: asdict(students[name]) for name in sorted(students)}}
    text = json.dumps(stored, indent=1, ensure_ascii=False) + "\n"
    path = _path(course, assignment)
    data = text.encode("utf-8", "replace")
    if not path.is_file() or path.read_bytes() != data:
        replace_file(path, data)


def _collected(fields: Mapping[str, Any]) -> Collected:
    return Collected(**{**fields, "version": tuple(int(part) for part in fields.get("version", ()))})


def _path(course: Course, assignment: str) -> Path:
    return course.downloaded_dir(assignment) / "collected.json"
