"""The instructor's configuration: one small frozen object from ``[tool.autograder]`` of ``pyproject.toml``.

::

    [tool.autograder]
    workers = 4                      # default: the processors this process may use
    suites = "my_suites"             # default: autograder/suites or suites of the course, else the package's

    [tool.autograder.limits]
    cell_wall_s = 60                 # names and defaults: autograder.limits.Limits
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.datasets import CHOICES
from autograder.errors import ConfigError
from autograder.layout import Course, default_suites
from autograder.limits import Limits

__all__ = ["Config", "at", "find_root", "load"]

_KEYS = ("data", "limits", "suites", "workers")
_MAX_WORKERS = 256
_SECRET_BYTES = 32


def _usable_processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity
        return os.cpu_count() or 1


@dataclass(frozen=True)
class Config:
    """What an instructor may set. ``root`` is the course root, ``suites`` the folder of suites."""

    root: Path
    suites: Path
    limits: Limits = field(default_factory=Limits)
    data: str = "auto"
    """Which data sets: one of :data:`autograder.datasets.CHOICES`."""
    workers: int = field(default_factory=_usable_processors)
    limits_set: frozenset[str] = frozenset()
    """Names of the limits that the instructor set."""

    @property
    def course(self) -> Course:
        """The folders of this course."""
        return Course(self.root, self.suites)

    def secret(self) -> bytes:
        """The course secret that seeds hidden inputs; created on first use, readable by its owner only."""
        path = self.course.secret_path
        try:
            if not path.exists():
                _create_secret(path)
            if path.stat().st_mode & 0o077:
                with contextlib.suppress(OSError):  # a file system without modes
                    path.chmod(0o600)
            value = path.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"cannot read or create the course secret {path}: {error.strerror}") from error
        if len(value) < 16:
            raise ConfigError(f"the course secret {path} is too short; delete it to get a new one")
        return value


def _create_secret(path: Path) -> None:
    """Write a new secret to ``path`` unless another process was first."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_SECRET_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())  # hidden inputs of the whole semester hang on it
        try:
            os.link(draft, path)  # unlike a rename, never replaces the other process's secret
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _read_toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def _section(folder: Path) -> Mapping[str, Any] | None:
    """``[tool.autograder]`` of the ``pyproject.toml`` in ``folder``; None when there is none."""
    path = folder / "pyproject.toml"
    if not path.is_file():
        return None
    tool = _read_toml(path).get("tool", {})
    section = tool.get("autograder") if isinstance(tool, dict) else None
    if section is not None and not isinstance(section, dict):
        raise ConfigError(f"{path}: tool.autograder must be a table")
    return section


def find_root(start: Path) -> Path:
    """The course root: the nearest folder at or above ``start`` that is marked as one, else ``start``."""
    start = start.resolve()
    if start.is_file():
        start = start.parent
    for folder in (start, *start.parents):
        if (folder / "nbgrader_config.py").is_file() or _section(folder) is not None:
            return folder
    return start


def load(start: Path | None = None) -> Config:
    """The configuration of the course that holds ``start`` (default: the working folder).

    Raises :class:`~autograder.errors.ConfigError` for an unknown key or a value of the wrong type.
    """
    return at(find_root(start if start is not None else Path.cwd()))


def at(root: Path) -> Config:
    """The configuration of the course at ``root``; without a ``pyproject.toml`` all is by default.

    Raises :class:`~autograder.errors.ConfigError` as :func:`load`.
    """
    section = _section(root) or {}
    where = f"{root / 'pyproject.toml'}, [tool.autograder]"
    unknown = sorted(set(section) - set(_KEYS))
    if unknown:
        raise ConfigError(f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(_KEYS)}")
    limits = section.get("limits", {})
    if not isinstance(limits, dict):
        raise ConfigError(f"{where}: limits must be a table of numbers")
    workers = section.get("workers", None)
    if workers is None:
        workers = _usable_processors()
    elif type(workers) is not int or not 1 <= workers <= _MAX_WORKERS:
        raise ConfigError(
            f"{where}: workers must be a whole number from 1 to {_MAX_WORKERS}, not {workers!r}"
        )
    data = section.get("data", "auto")
    if data not in CHOICES:
        raise ConfigError(f"{where}: data must be one of {', '.join(CHOICES)}, not {data!r}")
    return Config(
        root=root,
        suites=_suites(root, section.get("suites"), where),
        limits=_limits(limits, where),
        data=data,
        workers=workers,
        limits_set=frozenset(limits),
    )


def _suites(root: Path, value: object, where: str) -> Path:
    if value is None:
        return default_suites(root)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: suites must be the path of a folder, not {value!r}")
    path = (root / value).resolve()
    if not path.is_dir():
        raise ConfigError(f"{where}: suites = {value!r} is no folder ({path})")
    return path


def _limits(changes: Mapping[str, Any], where: str) -> Limits:
    try:
        return Limits().with_changes(changes)
    except ConfigError as error:
        raise ConfigError(f"{where}.limits: {error}") from error
