"""Content keys: what a score was computed from, so that nothing is computed twice and every change is named.

The key of a submission is a table of *parts*, each a short text: digests of the notebook files and of the
submission's other files, of the suite, of the instructor's notebooks and of this package, the versions of the
libraries, limits, data sets, device, a fingerprint of the course's secret, and whether there was a sandbox. A
submission whose parts are those of its last grading has its score already. Neither file times are in them nor
when it was handed in: no notebook has to be run for a late penalty (see :mod:`autograder.upkeep`).

Nothing here imports torch: asking whether there is anything to do takes milliseconds.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from autograder import datasets
from autograder.errors import NotebookError
from autograder.ipynb import read_bytes, sha256
from autograder.layout import CALIBRATION, DECLARATION, Course
from autograder.limits import Limits
from autograder.released import autotests
from autograder.submitted_files import EXCHANGE_FILES, instructor_files, other_files

__all__ = ["MEANING", "Conditions", "Keys", "changed", "engine_digest", "notebooks_part", "suite_digest"]

MEANING: Final[Mapping[str, str]] = {
    "notebook": "the submitted notebook",
    "files": "the submission's other files",
    "suite": "the suite",
    "source": "the instructor's notebook",
    "engine": "the engine's code",
    "libraries": "the libraries",
    "limits": "the limits",
    "data": "the data sets",
    "device": "the device",
    "secret": "the course's secret",
    "sandbox": "whether a sandbox was used",
}
"""The parts of a key, in the order in which people are told, and their names for people."""

_LIBRARIES: Final = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib", "ipython", "pytest")
_DISTRIBUTION: Final = re.compile(r"([A-Za-z0-9._]+)-([^-]+)\.dist-info")
"""The folder that pip leaves for each package: name and version."""
_PACKAGE: Final = Path(__file__).resolve().parent
_SHORT: Final = 20
"""Hex digits of a digest that stand in a key."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How submissions are graded. ``device`` is a device, not "auto"; ``data`` one of
    :data:`autograder.datasets.CHOICES`."""

    limits: Limits
    secret: bytes
    device: str = "cpu"
    sandbox: bool = True
    data: str = "auto"


class Keys:
    """The keys of submissions to ``course`` under ``conditions``. What they share is read once."""

    def __init__(self, course: Course, conditions: Conditions) -> None:
        self._course, self._conditions = course, conditions
        self._shared: dict[str, dict[str, str]] = {}

    def of(self, assignment: str, folder: Path) -> dict[str, str]:
        """The parts for the submission in ``folder``, in the order of :data:`MEANING`."""
        if assignment not in self._shared:
            self._shared[assignment] = self.shared(assignment)
        names = [path.name for path in self._course.source_notebooks(assignment)]
        own = {
            "notebook": notebooks_part({name[:-6]: self._notebook(folder / name) for name in names}),
            "files": _files(_answers(folder)),
        }
        parts = own | self._shared[assignment]
        return {name: parts[name] for name in MEANING}

    def shared(self, assignment: str) -> dict[str, str]:
        """The parts that all submissions to ``assignment`` have in common, read anew."""
        course, conditions = self._course, self._conditions
        sources = [path.read_bytes() for path in course.source_notebooks(assignment)]
        origin = _files(instructor_files(course.source_dir(assignment)))
        if tests := autotests(course, assignment):
            sources = [*sources, json.dumps(tests).encode()]
        return {
            "suite": suite_digest(course.suite_dir(assignment))[:_SHORT],
            "source": _digest([*sources, origin.encode()]),
            "engine": engine_digest()[:_SHORT],
            "libraries": _libraries(),
            "limits": json.dumps(conditions.limits.deciding(), sort_keys=True),
            "data": _data(sources, conditions.data),
            "device": conditions.device,
            # One way: the gradebook may be copied about, the secret may not.
            "secret": hmac.new(conditions.secret, b"content key", hashlib.sha256).hexdigest()[:_SHORT],
            "sandbox": "yes" if conditions.sandbox else "no",
        }

    def _notebook(self, path: Path) -> str:
        try:
            return sha256(read_bytes(path, self._conditions.limits))
        except NotebookError as error:
            return f"unreadable: {error}"


def notebooks_part(digests: Mapping[str, str]) -> str:
    """The part ``notebook``: SHA-256 of each notebook file by its name, or why it cannot be read."""
    return json.dumps(dict(sorted(digests.items())))


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the parts that differ, in the order of :data:`MEANING`."""
    return tuple(name for name in MEANING if before.get(name) != after.get(name))


def suite_digest(folder: Path) -> str:
    """SHA-256 of a suite's files; "none" where there is no suite."""
    if not folder.is_dir():
        return "none"
    hasher = hashlib.sha256()
    for path in sorted([*folder.rglob("*.py"), *folder.glob(DECLARATION), *folder.glob(CALIBRATION)]):
        hasher.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return hasher.hexdigest()


def engine_digest(package: Path = _PACKAGE) -> str:
    """SHA-256 of the engine's own code and templates; suites and data sets are parts of their own."""
    hasher = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *(package / "templates").iterdir()]):
        name = path.relative_to(package)
        if name.parts[0] not in ("suites", "samples"):
            hasher.update(name.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return hasher.hexdigest()


@cache
def _libraries() -> str:
    there: dict[str, str] = {}
    for folder in sys.path:
        with suppress(OSError):
            for entry in os.listdir(folder or "."):
                if found := _DISTRIBUTION.fullmatch(entry):
                    there.setdefault(re.sub("[-_.]+", "-", found[1]).lower(), found[2])
    known = ", ".join(f"{name} {there.get(name) or _version(name)}" for name in _LIBRARIES)
    return f"python {sys.version.split()[0]}, {known}"


def _version(name: str) -> str:
    """For what is installed in an unusual way. Importing this takes as long as all the rest in here."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _data(sources: Iterable[bytes], choice: str) -> str:
    names = datasets.wanted(sources)
    return ", ".join(f"{name} {datasets.fingerprint(name, choice)}" for name in names) or "none"


def _answers(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """The other files that the student wrote: handing in the same answer again changes none of them."""
    return ((path, data) for path, data in other_files(folder) if path.as_posix() not in EXCHANGE_FILES)


def _files(files: Iterator[tuple[Path, bytes]]) -> str:
    parts = [piece for name, data in files for piece in (name.as_posix().encode("utf-8", "replace"), data)]
    return _digest(parts) if parts else "none"


def _digest(parts: Iterable[bytes]) -> str:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big") + part)
    return hasher.hexdigest()[:_SHORT]
