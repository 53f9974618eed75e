"""The copies of a sandbox in which a submission is judged, one after another.

To make one costs more than most checks and most cells. So one that judged a task is kept for the next: it
runs the cells that came since, as the sandbox itself did (:mod:`autograder.sandbox.following`), where they
are quick and change nothing that both share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from autograder.errors import SandboxError
from autograder.sandbox.client import Branch

__all__ = ["Copies"]

_QUICK_S: Final = 0.01
"""What cells may take to be run once more; a new copy costs about as much."""
_FOLLOW_S: Final = 1.0


class Copies:
    """Makes copies with ``make``, and keeps one from task to task."""

    def __init__(self, make: Callable[[], Branch]) -> None:
        self._make = make
        self._kept: Branch | None = None
        self._old: Branch | None = None  # ends when a new one has been made
        self._behind: list[tuple[str, str | None]] = []
        self._behind_s = 0.0
        self.shared = True
        """Whether checks that pass may share a copy. No longer, once one that failed in a shared copy has
        passed in a new one."""
        self.confirmed = False
        """Whether a failure in a shared copy was one in a new copy too. From then on shared copies are
        believed where no earlier check has left anything."""

    def new(self) -> Branch:
        """A copy of the sandbox as it is now.

        :raises SandboxError: the sandbox is gone.
        """
        made = self._make()
        self._end_old()  # only now: an agent that does not end copies delays the next cell, not this
        return made

    def take(self) -> Branch | None:
        """The copy that was kept, brought up to where the notebook is; None where there is none."""
        kept, self._kept = self._kept, None
        cells, self._behind, self._behind_s = self._behind, [], 0.0
        if kept is None:
            return None
        try:
            if kept.follow(cells, wall_s=_FOLLOW_S):
                return kept
        except SandboxError:  # a new copy decides
            pass
        self._old = kept
        return None

    def keep(self, branch: Branch) -> None:
        """Keep ``branch``, which judged a task, for the next one."""
        if self.shared and not branch.dead:
            self._kept = branch
        else:
            branch.close()

    def instead_of(self, branch: Branch) -> Branch:
        """A new copy in the place of ``branch``; errors as :meth:`new`."""
        self._old = branch
        return self.new()

    def ran(self, source: str, reply: Mapping[str, Any]) -> None:
        """The sandbox has run a cell, with ``reply``."""
        if self._kept is None:
            return
        took_s, error = reply.get("wall_s"), reply.get("error")
        if type(took_s) is float and took_s >= 0 and (error is None or type(error) is str):
            self._behind_s += took_s
            self._behind.append((source, error))
            if self._behind_s <= _QUICK_S and reply.get("once") is False and reply.get("timeout") is False:
                return
        self.drop()

    def tidy(self, branch: Branch) -> None:
        """Before one more check in ``branch``."""
        if self.confirmed:
            branch.renew()

    def as_new(self, branch: Branch) -> bool:
        """Whether a failure in ``branch``, after :meth:`tidy`, is as good as one in a new copy."""
        try:
            return self.confirmed and not branch.dead and branch.was_renewed(wall_s=_FOLLOW_S)
        except SandboxError:
            return False

    def drop(self) -> None:
        """End the copy that is kept."""
        self._end_old()
        self._old, self._kept = self._kept, None
        self._behind, self._behind_s = [], 0.0
        self._end_old()

    def _end_old(self) -> None:
        old, self._old = self._old, None
        if old is not None:
            old.close()
