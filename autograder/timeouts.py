"""How long a cell may run: ``[tool.autograder.limits]``, or what the course's nbgrader configuration says."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from autograder.config import Config as Settings
from autograder.limits import Limits

if TYPE_CHECKING:
    from traitlets.config import Config

__all__ = ["limits_of"]

_SECTIONS = ("Execute", "ExecutePreprocessor", "NotebookClient")
"""Where ``timeout`` may stand for nbgrader's preprocessor, nearest first."""


def limits_of(settings: Settings, config: Config | None = None) -> Limits:
    """The limits of a course: those of ``[tool.autograder.limits]``, and ``Execute.timeout`` where only
    nbgrader's configuration says how long a cell may run.

    ``config`` is that configuration (default: ``nbgrader_config.py`` of the course, if it has the word).
    """
    limits = settings.limits
    if "cell_wall_s" in settings.limits_set:
        return limits
    if config is None:
        path = settings.root / "nbgrader_config.py"
        if not path.is_file() or b"timeout" not in path.read_bytes():
            return limits
        from autograder.nbgrader_settings import load  # here: it takes seconds

        config = load(settings.root)
    timeout_s = _timeout_s(config)
    if timeout_s is None:
        return limits
    if timeout_s == inf:
        return limits.with_changes({"cell_wall_s": limits.submission_wall_s})
    longer = {
        name: max(getattr(limits, name), 2 * timeout_s)
        for name in ("submission_wall_s", "cpu_s")
        if name not in settings.limits_set
    }
    return limits.with_changes({"cell_wall_s": timeout_s, **longer})


def _timeout_s(config: Config) -> float | None:
    """``Execute.timeout`` where ``config`` sets one; infinite for none at all."""
    for section in _SECTIONS:
        if section in config and "timeout" in config[section]:
            value = config[section].timeout
            return float(value) if isinstance(value, (int, float)) and value > 0 else inf
    return None
