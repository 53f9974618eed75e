"""Where the time of a submission goes: wall-clock seconds by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["Stages"]


class Stages:
    """Adds up seconds by the name of a stage; of nested stages each counts what is not in an inner one.

    ``with stages("judge"): …``
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner_s = 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """A stage, as long as the block lasts."""
        outer_s, self._inner_s = self._inner_s, 0.0
        started = time.perf_counter()
        try:
            yield
        finally:
            took_s = time.perf_counter() - started
            self.add({name: took_s - self._inner_s})
            self._inner_s = outer_s + took_s

    def add(self, seconds: Mapping[str, float]) -> None:
        """What was measured elsewhere."""
        for name, took_s in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + took_s
