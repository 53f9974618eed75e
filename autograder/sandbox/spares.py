"""Sandboxes made ready beside grading, and ended beside it.

A fork of the zygote, its namespaces, its control group and later its end take tens of milliseconds (see
``autograder grade --profile``). A thread does that while the judge grades in another sandbox, so that the
next one is there when it is wanted. A spare has run no student code: what it waits for is its seed.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from autograder.errors import SandboxError
from autograder.limits import Limits
from autograder.sandbox.client import Sandbox
from autograder.sandbox.launch import Zygote

__all__ = ["Spares"]

_SEED_WALL_S = 10.0


class Spares:
    """At most one spare sandbox of ``zygote``. For one judge process, which must not fork any more."""

    def __init__(self, zygote: Zygote) -> None:
        self._zygote = zygote
        # One thread: the pools of control groups are for one at a time.
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="spare-sandboxes")
        self._spare: Future[Sandbox] | None = None
        self._kind: tuple[Limits, str] | None = None

    def prepare(self, limits: Limits, execution: str = "autograde") -> None:
        """Begin to make the sandbox that :meth:`take` will be asked for, unless it is there."""
        if self._spare is not None and self._kind == (limits, execution):
            return
        self._drop()
        self._kind = (limits, execution)
        self._spare = self._make(limits, 0, execution)

    def take(self, limits: Limits, *, seed: int, execution: str = "autograde") -> Sandbox:
        """A fresh sandbox, as from :meth:`Zygote.spawn`; the next spare is begun.

        :raises SandboxUnavailable: it could not be set up.
        """
        self.prepare(limits, execution)
        assert self._spare is not None
        spare, self._spare = self._spare, None
        sandbox = None
        try:
            sandbox = spare.result()
            sandbox.request("seed", number=seed, wall_s=_SEED_WALL_S)
        except SandboxError:
            # It ended while it waited (the machine was short of memory, say): not this submission's fault.
            if sandbox is not None:
                self.give_back(sandbox)
            sandbox = self._make(limits, seed, execution).result()
        self.prepare(limits, execution)
        return sandbox

    def give_back(self, sandbox: Sandbox) -> None:
        """End ``sandbox``, beside what comes next."""
        self._beside.submit(sandbox.close)

    def close(self) -> None:
        """End the spare and wait until all that was given back has ended."""
        self._drop()
        self._beside.shutdown()

    def _make(self, limits: Limits, seed: int, execution: str) -> Future[Sandbox]:
        return self._beside.submit(self._zygote.spawn, limits, seed=seed, execution=execution)

    def _drop(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None and not spare.cancel():
            self._beside.submit(_close_when_made, spare)


def _close_when_made(spare: Future[Sandbox]) -> None:
    if spare.exception() is None:
        spare.result().close()
