"""Right answers of exercise 0. They run in the judge only.

The judge and the sandbox run the same interpreter with the same packages: what is installed here is installed
there, and nothing that a notebook patches can change it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Mapping
from typing import Any

__all__ = ["DISTRIBUTIONS", "MACHINES", "activate_command", "add", "missing_packages", "version_info"]

DISTRIBUTIONS: Mapping[str, str] = {"torch": "torch", "numpy": "numpy", "sklearn": "scikit-learn"}
"""Key of ``version_info`` -> name of the distribution on PyPI."""

MACHINES: Mapping[str, tuple[str, bool]] = {
    "system": ("a Python that belongs to no environment", False),
    "venv": ("a virtual environment that was activated", True),
    "venv_by_path": ("the Python of a virtual environment that nobody activated (as a Jupyter kernel)", True),
    "conda": ("a conda environment", True),
    "venv_in_conda": ("a virtual environment made by conda's Python, with conda active", True),
}
"""Name of a machine in ``probes.pretend`` -> (in words, what ``in_virtualenv()`` must say there)."""


def version_info() -> dict[str, str]:
    """Versions of Python and of three packages, by the name under which they are imported."""
    versions = {key: importlib.metadata.version(name) for key, name in DISTRIBUTIONS.items()}
    return {"python": platform.python_version()} | versions


def missing_packages(names: list[str]) -> list[str]:
    """Those of ``names`` that cannot be imported, in the same order; nothing is imported."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def activate_command(path: str, os_name: str) -> str:
    """The line that activates the environment in folder ``path``; ``os_name`` as ``os.name``."""
    target = rf"{path}\Scripts\activate" if os_name == "nt" else f"{path}/bin/activate"
    if " " in target:
        target = f'"{target}"'
    return target if os_name == "nt" else f"source {target}"


def add(a: Any, b: Any) -> Any:
    """a + b"""
    return a + b
