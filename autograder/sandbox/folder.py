"""The folder in which a notebook runs: the files put beside it, and those that it leaves there.

As in nbgrader the files of the assignment lie in the notebook's working folder, the instructor's over the
student's. Modules are found differently: an instructor's module comes first, whatever else has its name; a
student's comes last, so that a submitted ``torch.py`` hides nothing.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final

__all__ = ["Folder"]

_MOST_FILES: Final = 200
_MOST_BYTES: Final = 16 << 20
"""Of what a notebook leaves for the next one, all together."""


class Folder:
    """The working folder of this process; make it in the sandbox, before any student code runs."""

    def __init__(self) -> None:
        self._path = Path.cwd()
        self._given: dict[str, bytes] = {}
        sys.path.append(str(self._path))

    def put(self, path: str, data: bytes) -> None:
        """Write the file ``path``, relative to the folder."""
        place = self._path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        self._given[path] = data

    def prefer(self, modules: Sequence[str]) -> None:
        """Import ``modules`` (top-level names) from here, whatever else has their names."""
        sys.meta_path.insert(0, _Preferred(str(self._path), frozenset(modules)))

    def left(self) -> dict[str, bytes]:
        """Files that the notebook made or changed, without hidden ones; the rest stays behind when it is
        too much."""
        found: dict[str, bytes] = {}
        room = _MOST_BYTES
        for folder, folders, names in os.walk(self._path):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
            for name in sorted(names):
                place = Path(folder) / name
                info = place.lstat()
                if name.startswith(".") or not stat.S_ISREG(info.st_mode) or info.st_size > room:
                    continue
                path, data = place.relative_to(self._path).as_posix(), place.read_bytes()
                if self._given.get(path) != data and len(found) < _MOST_FILES:
                    found[path] = data
                    room -= len(data)
        return found

    def operations(self) -> dict[str, Callable[..., Any]]:
        """What the judge may ask for, by name."""
        return {"put_file": self.put, "prefer_modules": self.prefer, "left_files": self.left}


class _Preferred:
    """A finder for top-level modules that are in one folder."""

    def __init__(self, folder: str, names: frozenset[str]) -> None:
        self._folder, self._names = folder, names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module of the folder, None for all others."""
        if path is None and name in self._names:
            return PathFinder.find_spec(name, [self._folder])
        return None
