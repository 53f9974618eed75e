"""Helpers that run beside the student's code. They set a scene and measure; they hold no answer."""

from __future__ import annotations

import builtins
import importlib
import os
import sys
import tempfile
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["imported", "install", "literals", "pretend", "restore", "text"]

PREFIXES = ("prefix", "base_prefix", "exec_prefix", "base_exec_prefix")
NAMES = (*PREFIXES, "executable", "real_prefix", "version")
VARIABLES = ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_SHLVL")
MARKS = "_lecture_imports"

_saved: dict[str, Any] = {}


# ---------------------------------------------------------------- in_virtualenv


def pretend(machine: str, ask: Callable[..., Any]) -> None:
    """Make this Python look as if it ran on ``machine``: ``sys``, the environment variables and the folders.

    ``ask`` is the student's function: prefixes that it took from ``sys`` by name (``from sys import
    prefix``) change as well.
    """
    if not _saved:
        _saved["sys"] = {name: getattr(sys, name) for name in NAMES if hasattr(sys, name)}
        _saved["environ"] = {name: os.environ[name] for name in VARIABLES if name in os.environ}
        space = getattr(ask, "__globals__", {})
        own = {n: space[n] for n in PREFIXES if n in space and space[n] == _saved["sys"].get(n)}
        _saved["own"] = (space, own)
    top = Path(tempfile.mkdtemp())
    base, venv, conda = top / "usr", top / "work" / "course", top / "envs" / "lecture"
    for folder in (base, venv, conda):
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").touch()
    (conda / "conda-meta").mkdir()
    (conda / "conda-meta" / "history").touch()
    home = conda if machine == "venv_in_conda" else base
    (venv / "pyvenv.cfg").write_text(f"home = {home / 'bin'}\n")

    here, below = {
        "system": (base, base),
        "venv": (venv, base),
        "venv_by_path": (venv, base),
        "conda": (conda, conda),
        "venv_in_conda": (venv, conda),
    }[machine]
    variables = {}
    if machine in ("venv", "venv_in_conda"):
        variables["VIRTUAL_ENV"] = str(venv)
    if machine in ("conda", "venv_in_conda"):
        variables |= {"CONDA_PREFIX": str(conda), "CONDA_DEFAULT_ENV": "lecture", "CONDA_SHLVL": "1"}

    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(variables)
    if hasattr(sys, "real_prefix"):
        del sys.real_prefix
    sys.executable = str(here / "bin" / "python")
    plain = _saved["sys"]["version"]
    number, _, rest = plain.partition(" ")
    sys.version = f"{number} | packaged by conda-forge | {rest}" if below == conda else plain
    for name in PREFIXES:
        setattr(sys, name, str(below if name.startswith("base") else here))
    space, own = _saved["own"]
    for name in own:
        space[name] = getattr(sys, name)


def restore() -> None:
    """Back to the Python that this is."""
    if not _saved:
        return
    for name in NAMES:
        if name in _saved["sys"]:
            setattr(sys, name, _saved["sys"][name])
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(_saved["environ"])
    space, own = _saved["own"]
    space.update(own)
    _saved.clear()


# ---------------------------------------------------------------- missing_packages


def install(packages: Sequence[str], modules: Sequence[str], broken: Sequence[str]) -> None:
    """Put packages and one-file modules on ``sys.path``. An import leaves a mark; broken ones raise."""
    folder = Path(tempfile.mkdtemp())
    mark = f"import builtins\nbuiltins.__dict__.setdefault({MARKS!r}, []).append(__name__)\n"
    for name in (*packages, *broken):
        (folder / name).mkdir()
        error = "raise ImportError('a package that does not work was imported')\n" if name in broken else ""
        (folder / name / "__init__.py").write_text(mark + error)
    for name in modules:
        (folder / f"{name}.py").write_text(mark)
    sys.path.append(str(folder))
    importlib.invalidate_caches()


def imported(names: Sequence[str]) -> list[str]:
    """Which of the installed ``names`` were imported since."""
    marks = getattr(builtins, MARKS, [])
    return [name for name in names if name in marks or name in sys.modules]


# ---------------------------------------------------------------- version_info


def literals(function: Any) -> list[str]:
    """Texts that stand in the source of ``function`` itself, its defaults and its inner functions."""
    found: list[str] = []

    def walk(value: Any, depth: int) -> None:
        if type(value) is str:
            found.append(value[:100])
        elif depth < 6 and type(value) in (tuple, frozenset, list):
            for item in value:
                walk(item, depth + 1)
        elif depth < 6 and type(value) is dict:
            walk(list(value.values()), depth + 1)
        elif depth < 6 and isinstance(value, types.CodeType):
            walk(value.co_consts, depth + 1)

    walk(getattr(function, "__code__", None), 0)
    walk(getattr(function, "__defaults__", None), 0)
    walk(getattr(function, "__kwdefaults__", None), 0)
    return found[:500]


def text(value: Any) -> str:
    """The characters of an object that is a kind of str (``torch.__version__`` is one)."""
    return str.__str__(value)[:1000] if isinstance(value, str) else ""
