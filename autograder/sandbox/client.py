"""The judge's end of the sandbox: start the zygote, spawn sandboxes, ask, and end them.

::

    with Zygote.start() as zygote, zygote.spawn(limits, seed=7) as sandbox:
        result = sandbox.run_cell("x = 1", wall_s=5, output_bytes=1 << 16)
        with sandbox.branch() as branch:
            branch.request("get", name="x", wall_s=5)

Several judge processes may share one zygote: the control socket keeps datagrams apart.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import msgpack

from autograder.errors import SandboxDied, SandboxError, SandboxTimeout, SandboxUnavailable, WireError
from autograder.sandbox import cgroup
from autograder.wire import Channel, Handle, Hold, Reference, decode, encode

__all__ = ["READ_AHEAD", "Branch", "Peer", "RemoteFailure", "Sandbox"]

GRACE_S = 1.0
"""What the sandbox gets to answer by itself after a limit, before it is killed."""

READ_AHEAD = 1 << 16
"""Bytes the judge reads at once: a small answer comes in one piece."""

_END_S = 2.0
"""What a sandbox gets to say how a copy of it ended; it waits half a second for that itself."""

_LONG_S = 0.05
"""How long an answer is waited for before :meth:`Peer.request` does something else."""

_TIMED = ("call", "cell", "follow")
"""Operations that get their limit themselves, to stop before they are killed."""


class RemoteFailure(SandboxError):
    """The agent could not do what was asked: ``info`` is what it says about it (type, text, trace)."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        super().__init__(f"{info.get('type')}: {info.get('text')}")
        self.info = info


class Peer:
    """Requests and answers over one channel."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.resolve: Callable[[Handle | Reference], Any] = lambda item: item
        self.hold: Hold | None = None
        self.dead: SandboxError | None = None
        self.deadline = math.inf
        """When, on the monotonic clock, the whole submission is over: no request waits longer."""
        self.known: dict[str, Any] = {}
        """What the judge's students have found out about the other side: they share it, one after another."""
        self._deferred: list[dict[str, Any]] = []

    def defer(self, op: str, **fields: Any) -> None:
        """Let the next request carry this one with it, to be done before it: nobody waits for its answer, and
        its failure is that of the request."""
        self._deferred.append({"op": op, **fields})

    def request(
        self, op: str, *, wall_s: float, meanwhile: Callable[[], None] | None = None, **fields: Any
    ) -> Any:
        """The agent's answer to one request; ``meanwhile`` is called where that is long in coming.

        :raises RemoteFailure: the agent says that it failed.
        :raises SandboxDied | SandboxTimeout | WireError: no valid answer came; the peer is dead from then on.
        """
        if self.dead:
            raise self.dead
        wall_s = self._within(wall_s)
        try:
            if op in _TIMED:
                fields["wall_s"] = wall_s
            self.channel.send(self._frames({"op": op, **fields}), wall_s)
            if meanwhile is not None and not self.channel.arrives(_LONG_S):
                meanwhile()
            header, payload = self.channel.receive(wall_s + GRACE_S)
            answer = decode(header, payload, self.resolve, bounds=self.channel.bounds)
        except (SandboxDied, SandboxTimeout, WireError) as error:
            self.dead = self.explain_death(error)
            raise self.dead from error
        if type(answer) is dict and "ok" in answer:
            return answer["ok"]
        if type(answer) is dict and type(answer.get("failed")) is dict:
            raise RemoteFailure(answer["failed"])
        self.dead = WireError("an answer that is none")
        raise self.dead

    def _frames(self, message: dict[str, Any]) -> list[memoryview | bytes]:
        """The frame of ``message`` behind one with what was deferred: the agent does that first, so that what
        ``message`` refers to is what is there then."""
        before, self._deferred = self._deferred, []
        chunks = encode({"op": "before", "requests": before}, self.hold, judge=True) if before else []
        return chunks + encode(message, self.hold, judge=True)

    def _within(self, wall_s: float) -> float:
        return max(0.05, min(wall_s, self.deadline - time.monotonic()))

    def explain_death(self, error: SandboxError) -> SandboxError:
        """What really happened, where more is known than the wire tells."""
        return error


class Branch(Peer):
    """A copy of a sandbox in which checks run; ends without a trace in the original."""

    def __init__(self, channel: Channel, sandbox: Sandbox, pid: int) -> None:
        super().__init__(channel)
        self.sandbox, self.pid = sandbox, pid
        self.deadline = sandbox.deadline

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def follow(self, cells: Sequence[tuple[str, str | None]], *, wall_s: float) -> bool:
        """Run the cells that the sandbox has run since, each with the error that it ended with; false where
        this copy cannot become what that is."""
        self.known.clear()  # another cell may have given a name to something else
        return self.request("follow", cells=list(cells), wall_s=wall_s) is True

    def renew(self) -> None:
        """Before the next request, make the copy what it was when it was new."""
        self.known.clear()
        self.defer("renew")

    def was_renewed(self, *, wall_s: float) -> bool:
        """Whether the last :meth:`renew` found nothing left behind."""
        return self.request("was_renewed", wall_s=wall_s) is True

    def explain_death(self, error: SandboxError) -> SandboxError:
        """How the process ended."""
        if isinstance(error, SandboxDied):
            status = self._end(dead=True)
            memory = self.sandbox.oom_killed()
            return SandboxDied(_death_text(status, memory), memory=memory, status=status)
        return error

    def _end(self, *, dead: bool = False) -> int | None:
        pid, self.pid = self.pid, 0
        if not pid or self.sandbox.dead:
            return None
        if not dead:  # it ends by itself, as its wire is closed; the next request makes sure
            self.sandbox.defer("end_branch", pid=pid, dead=False)
            return None
        try:
            status = self.sandbox.request("end_branch", pid=pid, dead=dead, wall_s=_END_S)
        except SandboxError:
            self.sandbox.kill()
            return None
        return status if type(status) is int else None

    def close(self) -> None:
        """End the copy."""
        self.channel.close()
        self._end()


class Sandbox(Peer):
    """One jailed process with a student's notebook in it. Use it as a context manager."""

    def __init__(
        self, channel: Channel, status: socket.socket, pidfd: int, group: cgroup.Cgroup | None
    ) -> None:
        super().__init__(channel)
        self._status, self._pidfd, self._group = status, pidfd, group
        self.missing_layers: tuple[str, ...] = ()
        self.usage: Mapping[str, Any] = {}
        self.setup_s: dict[str, float] = {}
        """What its making took: fork, control group, jail."""
        self._memory_kills = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run_cell(
        self,
        source: str,
        *,
        wall_s: float,
        output_bytes: int,
        pristine: bool = False,
        meanwhile: Callable[[], None] | None = None,
    ) -> Mapping[str, Any]:
        """Run one cell; what :meth:`autograder.sandbox.frontend.Frontend.run_cell` says of it (a claim).
        ``meanwhile`` is called while a long one runs."""
        fields = {"source": source, "output_bytes": output_bytes, "pristine": pristine}
        result = self.request("cell", wall_s=wall_s, meanwhile=meanwhile, **fields)
        if type(result) is not dict:
            self.dead = WireError("an answer that is none")
            raise self.dead
        return result

    def furnish(self, files: Mapping[str, bytes], modules: Sequence[str], *, wall_s: float = 30.0) -> None:
        """Put ``files`` (by relative path) into its folder; ``modules`` are imported from there first.

        :raises SandboxUnavailable: they do not fit.
        """
        try:
            for path, data in files.items():
                self.request("put_file", path=path, data=data, wall_s=wall_s)
            if modules:
                self.request("prefer_modules", modules=list(modules), wall_s=wall_s)
        except SandboxError as error:
            raise SandboxUnavailable(
                f"the files beside the notebook could not be put into its sandbox ({error}); "
                "see tmp_mb and file_mb in [tool.autograder.limits]"
            ) from error

    def left_files(self, wall_s: float = 10.0) -> Mapping[object, object]:
        """Files that the notebook made or changed, by relative path: a claim; empty when it has ended."""
        try:
            found = self.request("left_files", wall_s=wall_s)
        except SandboxError:
            return {}
        return found if type(found) is dict else {}

    def branch(self, wall_s: float = 10.0) -> Branch:
        """A copy of the sandbox as it is now, for checks."""
        ours, theirs = socket.socketpair()
        with theirs:
            if self.dead:
                raise self.dead
            try:
                wall_s = self._within(wall_s)
                self.channel.send(self._frames({"op": "fork"}), wall_s)
                self.channel.send_descriptor(theirs.fileno(), wall_s)
                header, payload = self.channel.receive(wall_s)
                answer = decode(header, payload, self.resolve)
            except (SandboxDied, SandboxTimeout, WireError) as error:
                ours.close()
                self.dead = self.explain_death(error)
                raise self.dead from error
        pid = answer.get("ok") if type(answer) is dict else None
        if type(pid) is not int or pid < 2:
            ours.close()
            self.dead = WireError("the sandbox could not be copied")
            raise self.dead
        return Branch(Channel(ours, self.channel.bounds, ahead=READ_AHEAD), self, pid)

    def oom_killed(self) -> bool:
        """Whether the kernel or the zygote ended a process of this sandbox for want of memory."""
        self._read_status(0.0)
        return bool(self._memory_kills) or (self._group is not None and self._group.oom_killed())

    def explain_death(self, error: SandboxError) -> SandboxError:
        """How the process ended."""
        if not isinstance(error, SandboxDied):
            return error
        status = self._await_end(2.0)
        memory = self.oom_killed()
        return SandboxDied(_death_text(status, memory), memory=memory, status=status)

    def _await_end(self, wall_s: float) -> int | None:
        deadline = time.monotonic() + wall_s
        while not self.usage and self._read_status(deadline - time.monotonic()):
            pass
        status = self.usage.get("status")
        return status if isinstance(status, int) else None

    def _read_status(self, wall_s: float) -> bool:
        """Take the zygote's next word on this sandbox; false if none came in time."""
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        if self._pidfd < 0 or not poll.poll(max(0.0, wall_s) * 1000):
            return False
        try:
            told = msgpack.unpackb(self._status.recv(4096))
        except (OSError, ValueError):
            return False
        if "memory_kills" in told:
            self._memory_kills = told["memory_kills"]
        else:
            self.usage = told
        return True

    def kill(self) -> None:
        """End every process of the sandbox at once."""
        with contextlib.suppress(ProcessLookupError, OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if self._group is not None:
            self._group.kill()
        self.dead = self.dead or SandboxDied("the sandbox was ended")

    def close(self) -> None:
        """End the sandbox and give its resources back."""
        if self._pidfd < 0:
            return
        self.channel.close()
        self.kill()
        if not self.usage:
            self._await_end(5.0)
        self._status.close()
        os.close(self._pidfd)
        self._pidfd = -1
        if self._group is not None:
            self._group.release()


def _death_text(status: int | None, memory: bool) -> str:
    if memory:
        return "needed more memory than allowed and was ended"
    if status is None:
        return "the Python process ended"
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"the Python process was ended by signal {signal.Signals(-status).name}"
    return f"the Python process ended itself (exit code {status})"
