"""The files beside a notebook while it runs: the instructor's, the student's, what earlier notebooks left.

As in nbgrader a notebook finds them by relative path, and an instructor's file replaces a student's of the
same name. The judge only carries bytes: it opens none of them, and writes none of what a sandbox gives back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from autograder.errors import UsageError
from autograder.limits import Limits
from autograder.submitted_files import instructor_files, other_files

__all__ = ["Beside", "of_assignment"]

_SUBMITTED_BYTES: Final = 32 << 20
"""Of a student's own files and of what notebooks leave, all together."""
_MOST_FILES: Final = 200


@dataclass(slots=True)
class Beside:
    """Files by relative path. ``instructor`` are the names that nothing replaces, ``modules`` what can be
    imported from them; with ``carry`` a notebook's files are there for the next one."""

    files: dict[str, bytes] = field(default_factory=dict)
    instructor: frozenset[str] = frozenset()
    modules: tuple[str, ...] = ()
    carry: bool = False

    def with_submission(self, folder: Path, *, carry: bool) -> Beside:
        """These files and those of the submission in ``folder``."""
        both = Beside({}, self.instructor, self.modules, carry)
        for path, data in other_files(folder):  # one at a time: all of them may be gigabytes
            both.add({path.as_posix(): data})
        both.files.update(self.files)
        return both

    def add(self, files: Mapping[object, object]) -> None:
        """Take over what a student made, as far as it is bounded files with honest names."""
        room = _SUBMITTED_BYTES - sum(
            len(data) for name, data in self.files.items() if name not in self.instructor
        )
        for name, data in list(files.items())[:_MOST_FILES]:
            if type(name) is not str or type(data) is not bytes or not _is_honest(name):
                continue
            if name not in self.instructor and len(data) <= room:
                self.files[name] = data
                room -= len(data)


def _is_honest(name: str) -> bool:
    """Whether ``name`` is a relative path that stays below its folder."""
    path = PurePosixPath(name)
    return (
        0 < len(name) <= 1024
        and name.isprintable()
        and "\\" not in name
        and not path.is_absolute()
        and all(part != ".." and not part.startswith(".") for part in path.parts)
        and path.as_posix() == name
    )


def of_assignment(source: Path, limits: Limits) -> Beside:
    """The instructor's files in ``source``.

    :raises UsageError: they do not fit into a sandbox; the message names the limit.
    """
    files = {path.as_posix(): data for path, data in instructor_files(source)}
    for name, data in files.items():
        if len(data) > limits.file_mb * 2**20:
            raise UsageError(
                f"{source / name} has {len(data) >> 20} MiB, more than the {limits.file_mb} MiB that a file "
                "in a sandbox may have; set file_mb in [tool.autograder.limits]"
            )
    total = sum(map(len, files.values()))
    if total > limits.tmp_mb * 2**20 / 2:
        raise UsageError(
            f"the files in {source} have {total >> 20} MiB together, more than half of the {limits.tmp_mb} "
            "MiB of a sandbox; set tmp_mb in [tool.autograder.limits] to at least twice as much"
        )
    return Beside(files, frozenset(files), _modules(map(PurePosixPath, files)))


def _modules(paths: Iterable[PurePosixPath]) -> tuple[str, ...]:
    """Names under which files at these relative paths can be imported."""
    names = {path.parts[0].removesuffix(".py") for path in paths if path.suffix == ".py"}
    return tuple(sorted(name for name in names if name.isidentifier()))
