"""Where things lie in a course: the only module that knows folder names.

The names are nbgrader's own (``source``, ``release``, ``submitted``, ``autograded``, ``feedback``,
``gradebook.db``) plus ours (``solutions``, ``autograder/suites``, ``.autograder``). Nothing here follows a
symbolic link below ``submitted/``: those folders are filled by students.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autograder.errors import UsageError

__all__ = [
    "CALIBRATION",
    "DECLARATION",
    "Course",
    "check_assignment_name",
    "check_student_id",
    "default_suites",
]

DECLARATION: Final = "thresholds.toml"
"""In the folder of a suite: the thresholds of its stochastic checks."""
CALIBRATION: Final = "calibration.json"
"""Beside it: what was measured for them."""
_MAX_NAME = 128
"""Length of ``student.id`` and ``assignment.name`` in nbgrader's tables."""
_NEVER_IN_A_NAME = "/\\*?["
"""Path separators and the characters that nbgrader's globs would read as patterns."""


def default_suites(root: Path) -> Path:
    """The folder of suites of the course at ``root``: its own, else the one of the installed package."""
    for own in (root / "autograder" / "suites", root / "suites"):
        if own.is_dir():
            return own
    return Path(__file__).resolve().parent / "suites"


def _name_problem(name: str) -> str:
    """Why ``name`` cannot be a folder name in nbgrader's tree; empty when it can."""
    if not name:
        return "is empty"
    if len(name) > _MAX_NAME:
        return f"is longer than {_MAX_NAME} characters"
    if name.startswith("."):
        return "starts with a dot"
    if name != name.strip():
        return "starts or ends with a space"
    if not name.isprintable():  # control characters, line separators, lone surrogates
        return "has characters that cannot be printed"
    bad = sorted(set(name) & set(_NEVER_IN_A_NAME))
    return f"has the characters {' '.join(bad)}" if bad else ""


def check_assignment_name(name: str) -> str:
    """``name`` itself, or :class:`~autograder.errors.UsageError` when nbgrader cannot hold it."""
    problem = _name_problem(name) or ("has the character +" if "+" in name else "")
    if problem:
        raise UsageError(f"assignment name {name!r} {problem}; rename the folder in source/")
    return name


def check_student_id(student: str) -> str:
    """``student`` itself, or :class:`~autograder.errors.UsageError` when nbgrader cannot hold it."""
    problem = _name_problem(student)
    if problem:
        raise UsageError(f"student id {student!r} {problem}; rename the folder in submitted/")
    return student


@dataclass(frozen=True)
class Course:
    """The folders of one course. ``root`` is the course root, ``suites`` overrides where suites lie.

    ``gradebook`` and ``sources`` (assignment, folder) override nbgrader's own names, for a course whose
    ``nbgrader_config.py`` has others.
    """

    root: Path
    suites: Path | None = None
    gradebook: Path | None = None
    sources: tuple[tuple[str, Path], ...] = ()

    @property
    def gradebook_path(self) -> Path:
        """nbgrader's SQLite gradebook."""
        return self.gradebook or self.root / "gradebook.db"

    @property
    def state_dir(self) -> Path:
        """Private, git-ignored files of the engine: the course secret, resume journals."""
        return self.root / ".autograder"

    @property
    def secret_path(self) -> Path:
        """The course secret that seeds hidden inputs."""
        return self.state_dir / "secret"

    def assignments(self) -> tuple[str, ...]:
        """Names of all assignments that have a notebook in ``source/``, sorted."""
        return tuple(
            entry.name
            for entry in _entries(self.root / "source")
            if not _name_problem(entry.name) and entry.is_dir() and any(_notebooks(Path(entry.path)))
        )

    def source_dir(self, assignment: str) -> Path:
        """The instructor's folder of ``assignment``."""
        known = dict(self.sources)
        return known.get(assignment) or self.root / "source" / check_assignment_name(assignment)

    def source_notebooks(self, assignment: str) -> tuple[Path, ...]:
        """The instructor's notebooks of ``assignment``, sorted. None at all is a ``UsageError``."""
        folder = self.source_dir(assignment)
        found = tuple(_notebooks(folder))
        if not found:
            known = ", ".join(self.assignments()) or "none"
            raise UsageError(
                f"there is no assignment {assignment!r} in {self.root / 'source'}; known are: {known}"
            )
        return found

    def release_dir(self, assignment: str) -> Path:
        """The generated student version."""
        return self.root / "release" / check_assignment_name(assignment)

    def solutions_dir(self, assignment: str) -> Path:
        """The generated, executed solutions."""
        return self.root / "solutions" / check_assignment_name(assignment)

    def suite_dir(self, assignment: str) -> Path:
        """Folder of the assignment's suite; it need not exist (a plain nbgrader assignment has none)."""
        return (self.suites or default_suites(self.root)) / check_assignment_name(assignment)

    def golden_dir(self, assignment: str) -> Path:
        """Golden submissions of ``assignment``."""
        return self.root / "tests" / "golden" / check_assignment_name(assignment)

    @property
    def calibration_dir(self) -> Path:
        """Tables and pictures of what calibrated thresholds were measured from."""
        return self.root / "docs" / "calibration"

    def submitted(self, student: str, assignment: str) -> Path:
        """A student's submission."""
        return self.root / "submitted" / check_student_id(student) / check_assignment_name(assignment)

    def downloaded_dir(self, assignment: str) -> Path:
        """nbgrader's place for downloads; ours for what ``autograder collect`` could not or did not place."""
        return self.root / "downloaded" / check_assignment_name(assignment)

    def replaced_dir(self, student: str, assignment: str) -> Path:
        """Earlier submissions that a collected one has replaced, a folder each."""
        return self.downloaded_dir(assignment) / "replaced" / check_student_id(student)

    def autograded_dir(self, student: str, assignment: str) -> Path:
        """Graded notebooks of a submission, for formgrader."""
        return self.root / "autograded" / check_student_id(student) / check_assignment_name(assignment)

    def feedback_dir(self, student: str, assignment: str) -> Path:
        """Feedback pages of a submission."""
        return self.root / "feedback" / check_student_id(student) / check_assignment_name(assignment)

    def submissions(self, assignment: str) -> list[tuple[str, Path]]:
        """``(student, folder)`` of every submission to ``assignment``, students sorted."""
        return [(student, path) for student, path, refusal in self._scan(assignment) if not refusal]

    def refused(self, assignment: str) -> list[str]:
        """One message for each thing in ``submitted/`` that looks like a submission and is not taken."""
        return [refusal for _, _, refusal in self._scan(assignment) if refusal]

    def _scan(self, assignment: str) -> Iterator[tuple[str, Path, str]]:
        check_assignment_name(assignment)
        for entry in _entries(self.root / "submitted"):
            if entry.name.startswith("."):
                continue  # .ipynb_checkpoints, .DS_Store, .git
            path = Path(entry.path) / assignment
            shown = ascii(entry.name)
            if entry.is_symlink():
                yield entry.name, path, f"submitted/{shown} is a symbolic link: it was not followed"
            elif not entry.is_dir(follow_symlinks=False):
                continue  # a file beside the students' folders
            else:
                kind = _kind(path)
                problem = _name_problem(entry.name)
                if kind == "missing":
                    continue
                if problem:
                    yield entry.name, path, f"student id {shown} {problem}: rename its folder in submitted/"
                elif kind != "directory":
                    yield entry.name, path, f"submitted/{shown}/{assignment} is a {kind}, not a folder"
                else:
                    yield entry.name, path, ""


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of ``folder`` by name; none when it does not exist."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _notebooks(folder: Path) -> Iterator[Path]:
    for entry in _entries(folder):
        if entry.name.endswith(".ipynb") and not _name_problem(entry.name[:-6]) and entry.is_file():
            yield Path(entry.path)


def _kind(path: Path) -> str:
    """What lies at ``path``, in words, without following a link."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return "missing"
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISLNK(mode):
        return "symbolic link"
    return "file" if stat.S_ISREG(mode) else "special file"
