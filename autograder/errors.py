"""Everything the engine raises, in one tree.

::

    AutograderError
    ├── UsageError              the command or its arguments are wrong; says what to type instead
    ├── ConfigError             a setting in pyproject.toml is unknown or out of range
    ├── NotebookError           a notebook file cannot be read (missing, truncated, too large, not a notebook)
    ├── SuiteError              a suite, its reference or its mistakes are wrong: our fault, never the
    student's
    ├── SandboxError            the sandbox could not do what the judge asked
    │   ├── SandboxUnavailable  this machine cannot build a sandbox; the message names the cure
    │   ├── SandboxDied         the sandbox process ended (exit, signal, memory)
    │   ├── SandboxTimeout      an answer did not come within its limit
    │   └── WireError           bytes from the sandbox broke a bound or are not a frame (outcome HOSTILE)
    └── GradebookError          the gradebook cannot be read or written
        └── StorageError        nor can anything else: full disk, read-only folder, locked database

Student code that raises is not an error of the engine: the judge sees it as
:class:`autograder.judge.student.StudentError`, an ``AssertionError``.
"""

from __future__ import annotations

__all__ = [
    "AutograderError",
    "ConfigError",
    "GradebookError",
    "NotebookError",
    "SandboxDied",
    "SandboxError",
    "SandboxTimeout",
    "SandboxUnavailable",
    "StorageError",
    "SuiteError",
    "UsageError",
    "WireError",
]


class AutograderError(Exception):
    """Base of all errors of this package; ``str(error)`` is one message for a person."""


class UsageError(AutograderError):
    """The command line or a call of the API is wrong."""


class ConfigError(AutograderError):
    """A setting is unknown, of the wrong type or out of range."""


class NotebookError(AutograderError):
    """A notebook file cannot be read; the student is told why."""


class SuiteError(AutograderError):
    """A suite is wrong. Gives outcome ``ENGINE_ERROR``, never 0 points."""


class SandboxError(AutograderError):
    """The sandbox could not do what the judge asked."""


class SandboxUnavailable(SandboxError):
    """This machine cannot build a sandbox."""


class SandboxDied(SandboxError):
    """The sandbox process ended before it answered.

    ``memory`` is true when the memory limit ended it, ``status`` is the wait
    status where it is known (negative signal number or exit code).
    """

    def __init__(self, message: str, *, memory: bool = False, status: int | None = None) -> None:
        super().__init__(message)
        self.memory = memory
        self.status = status


class SandboxTimeout(SandboxError):
    """No answer within ``limit_s`` seconds of wall time."""

    def __init__(self, message: str, *, limit_s: float) -> None:
        super().__init__(message)
        self.limit_s = limit_s


class WireError(SandboxError):
    """Bytes from the other side break a bound of the wire or are no frame at all."""


class GradebookError(AutograderError):
    """The gradebook cannot be read or written."""


class StorageError(GradebookError):
    """No score can be stored at all now: it ends a batch, where a GradebookError costs one submission."""
