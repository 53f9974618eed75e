"""A copy in which checks ran, brought up to where the notebook is: it runs the cells that came since.

To copy a sandbox costs more than most cells, above all the pages that the copy then writes to. So the copy
that judged one task may judge the next one too, after it has run the same cells as the original, from the
names and random states from which the original ran them. It says no where that would not lead to the same
state, and the judge makes a new copy: where a check left something behind (:func:`_signs`), or a cell did
something that happens once for both (:class:`Once`), as they share their files.

Nothing here is a barrier to student code, which could tell the judge whatever it likes. A result is a value
that the judge compares, and who denies that a copy is as it was gets the one second look of a submission.
"""

from __future__ import annotations

import os
import random
import resource
import sys
import threading
import warnings
from collections import Counter, OrderedDict, defaultdict, deque
from types import CellType, FunctionType
from typing import Any, Final

import numpy as np
import torch

from autograder.sandbox import root
from autograder.sandbox.frontend import Frontend, describe, time_limit

__all__ = ["Follower", "Once"]

_WRITABLE: Final = (root.HOME, root.TMP, root.SHM)
"""All places where a sandbox can write; without one it is where the notebook runs."""
_FILES: Final = 100
_SHELL: Final = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})
"""Names that IPython gives a notebook and changes by itself; those with an underscore are its own, too."""
_CONSTANT: Final = (
    *(bool, int, float, complex, str, bytes, type(None), type(...), range, slice),
    *(torch.dtype, torch.device, torch.Size, np.dtype, np.generic, type(os), type(len), np.ufunc),
)
_LISTS: Final = (list, tuple, set, frozenset, deque)
_DICTS: Final = (dict, OrderedDict, defaultdict, Counter)
_DEPTH: Final = 8
_ITEMS: Final = 1000
_ARRAY_BYTES: Final = 1 << 16


class Once:
    """Whether a cell did what is not to happen twice: changed a file, started a process or a thread."""

    def __init__(self) -> None:
        self._before: object = None
        self._after: object = None

    def start(self) -> None:
        """Look from here on."""
        self._before = self._after or _outside()
        self._after = None

    def stop(self) -> bool:
        """Whether there was anything since :meth:`start`, or may have been."""
        self._after = _outside()
        return threading.active_count() > 1 or self._before is None or self._after != self._before

    def pause(self) -> None:
        """Something else than a cell comes now, which may do any of this."""
        self._after = None


def _outside() -> object:
    """What this process has in common with its copies, or started; None where it cannot be told."""
    try:
        processes = _processes()
        files: list[tuple[str, int, int, int]] = []
        folders = list(dict.fromkeys((os.getcwd(), *_WRITABLE)))
        while folders:
            folder = folders.pop()
            device = os.stat(folder).st_dev
            with os.scandir(folder) as entries:
                for entry in entries:
                    state = entry.stat(follow_symlinks=False)
                    if state.st_dev != device:
                        continue  # mounted there, for reading only: Python itself may live below /tmp
                    files.append((entry.path, state.st_mtime_ns, state.st_ctime_ns, state.st_size))
                    if len(files) > _FILES:
                        return None
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    except OSError:
        return None
    return processes, resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt, files


def _processes() -> object:
    """What changes where a process is started."""
    if os.getpid() != 1:
        return [name for name in os.listdir("/proc") if name.isdigit()]
    # In a process namespace of its own: the number that the newest process or thread in it has got.
    fd = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 100).rpartition(b" ")[2]
    finally:
        os.close(fd)


class Follower:
    """What a copy has to go back to before it runs the cells that came since it was made."""

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend
        self._mark()

    def _mark(self) -> None:
        self._names = dict(self._frontend.names)
        self._signs, self._seen = _signs(self._names)
        self._random = random.getstate(), np.random.get_state(), torch.get_rng_state()
        self._mode = torch.get_deterministic_debug_mode()
        self._empty = np.empty, np.empty_like

    def renew(self) -> bool:
        """Back to what the copy was; false where it can no longer become that."""
        names = self._frontend.names
        names.clear()
        names.update(self._names)
        if _signs(names)[0] != self._signs:
            return False
        # What was changed so that checks see memory that nobody wrote to: see uninitialised.py.
        torch.set_deterministic_debug_mode(self._mode)
        np.empty, np.empty_like = self._empty  # type: ignore[misc]
        random.setstate(self._random[0])
        np.random.set_state(self._random[1])
        torch.set_rng_state(self._random[2])
        return True

    def follow(self, cells: list[tuple[str, str | None]], wall_s: float) -> bool:
        """Run ``cells``, each with the error that it ended with in the original; false where this copy cannot
        become what that is."""
        if not self.renew():
            return False
        if not all(self._same(source, error, wall_s) for source, error in cells):
            return False
        self._mark()
        return True

    def _same(self, source: str, error: str | None, wall_s: float) -> bool:
        """Run a cell; whether it ends as it did in the original, with ``error``."""
        frontend, found = self._frontend, None
        frontend.sink.open(0)
        try:
            with time_limit(wall_s):
                if not frontend.shell.run_again(source):
                    result = frontend.run_cell(source, wall_s=wall_s, output_bytes=0)
                    return bool(result["error"] == error and not result["timeout"])
        except BaseException as raised:  # the student's cell may raise anything
            found = describe(raised)
        # IPython would call what the cell has registered now, show figures and close them.
        plots, shell = sys.modules.get("matplotlib.pyplot"), frontend.shell
        if shell.count_callbacks() != shell.usual_callbacks or (plots and plots.get_fignums()):
            return False
        return found == error


def _signs(names: dict[str, Any]) -> tuple[list[object], list[object]]:
    """What would show that a check changed an object of the notebook or a setting of the process; and the
    objects that were looked at, which have to live as long as their ids are to mean anything."""
    signs: list[object] = [
        (torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        (torch.get_num_threads(), torch._C._len_torch_function_stack(), torch.is_anomaly_enabled()),
        (threading.active_count(), sys.getrecursionlimit(), os.getcwd(), *os.environ.items()),
        (sys.prefix, sys.base_prefix, sys.executable, len(sys.path), id(sys.stdout)),
        (*map(id, warnings.filters), *np.geterr().values()),
    ]
    todo = [(0, value) for name, value in names.items() if name not in _SHELL and not name.startswith("_")]
    seen: dict[int, object] = {}
    while todo:
        depth, value = todo.pop()
        signs.append(id(value))
        if id(value) in seen or isinstance(value, _CONSTANT):
            continue
        seen[id(value)] = value
        if depth > _DEPTH or len(seen) > _ITEMS:
            signs.append(object())  # is like no other
            break
        sign, inside = _look(value)
        signs.append(sign)
        todo += [(depth + 1, item) for item in inside]
    return signs, list(seen.values())


def _look(value: Any) -> tuple[object, list[Any]]:
    """A sign of the value itself, and what it holds; a sign that is like no other where that is not known."""
    kind = type(value)
    if kind in _LISTS:
        return len(value), list(value)
    if kind in _DICTS:
        return tuple(map(id, value)), list(value.values())
    if isinstance(value, torch.Tensor):
        if value.is_inference():  # has no version
            return object(), []
        return (value._version, value.requires_grad), [value.grad] if value.is_leaf else []
    if kind is np.ndarray:
        small = value.nbytes <= _ARRAY_BYTES and value.dtype.kind != "O"
        return value.tobytes() if small else object(), []
    if kind is FunctionType:
        cells = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
        return (id(value.__code__), id(value.__defaults__)), [*cells, vars(value)]
    if isinstance(value, type):
        inside = list(vars(value).values())
        return tuple(map(id, inside)), [item for item in inside if type(item) in (list, dict, set)]
    held = getattr(value, "__dict__", None)
    if type(held) is dict and not isinstance(value, (list, tuple, dict, set, np.ndarray)):
        return id(kind), [held]
    return object(), []
