"""Address space that is kept back for the agent: student code that has used up its own must not leave it
without the memory to say so."""

from __future__ import annotations

import resource
from typing import Final

__all__ = ["RESERVE_MB", "Reserve"]

RESERVE_MB: Final = 32
"""Between the soft limit, which holds for student code, and the hard one: part of ``Limits.memory_mb``."""
_AS: Final = getattr(resource, "RLIMIT_AS", None)


class Reserve:
    """Opens the reserve and shuts it again. Student code may do so too: then it is its own answer that gets
    lost."""

    def __init__(self) -> None:
        soft, hard = (0, 0) if _AS is None else resource.getrlimit(_AS)
        self._open, self._shut = (hard, hard), (soft, hard)

    def open(self) -> None:
        """Let this process use the reserve. Takes no memory itself: there may be none."""
        self._set(self._open)

    def shut(self) -> None:
        """Keep it back again, from what runs now."""
        self._set(self._shut)

    def _set(self, limits: tuple[int, int]) -> None:
        if _AS is None or self._open == self._shut:
            return
        try:  # noqa: SIM105 - suppress() would take memory
            resource.setrlimit(_AS, limits)
        except (OSError, ValueError):  # student code may have lowered the hard limit
            pass
