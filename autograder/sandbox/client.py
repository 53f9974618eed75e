"""The judge's end of the sandbox: start the zygote, spawn sandboxes, ask, and end them.

::

    with Zygote.start() as zygote, zygote.spawn(limits, seed=7) as sandbox:
        result = sandbox.run_cell("x = 1", wall_s=5, output_bytes=1 << 16)
        with sandbox.branch() as branch:
            branch.request("get", name="x", wall_s=5)

Several judge processes may share one zygote: the control socket keeps datagrams apart.
"""

from __future__ import annotations

import array
import contextlib
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import msgpack

from autograder.errors import SandboxDied, SandboxError, SandboxTimeout, SandboxUnavailable, WireError
from autograder.limits import Limits
from autograder.sandbox import cgroup, jail
from autograder.wire import Bounds, Channel, Handle, Hold, Reference, decode, encode

__all__ = ["Branch", "Peer", "RemoteFailure", "Sandbox", "Zygote"]

START_WALL_S = 120.0
"""How long the zygote may import and warm up."""
GRACE_S = 1.0
"""What the sandbox gets to answer by itself after a limit, before it is killed."""

_TIMED = ("call", "cell")
"""Operations that get their limit themselves, to stop before they are killed."""
_UID_BASE = 1_879_048_192
_UID_SPAN = 1_000_000


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

    def request(self, op: str, *, wall_s: float, **fields: Any) -> Any:
        """The agent's answer to one request.

        :raises RemoteFailure: the agent says that it failed.
        :raises SandboxDied | SandboxTimeout | WireError: no valid answer came; the peer is dead from then on.
        """
        if self.dead:
            raise self.dead
        try:
            if op in _TIMED:
                fields["wall_s"] = wall_s
            self.channel.send(encode({"op": op, **fields}, self.hold, judge=True), wall_s)
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

    def explain_death(self, error: SandboxError) -> SandboxError:
        """What really happened, where more is known than the wire tells."""
        return error


class Branch(Peer):
    """A copy of a sandbox in which checks run; ends without a trace in the original."""

    def __init__(self, channel: Channel, sandbox: Sandbox, pid: int) -> None:
        super().__init__(channel)
        self.sandbox, self.pid = sandbox, pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def explain_death(self, error: SandboxError) -> SandboxError:
        """How the process ended."""
        if isinstance(error, SandboxDied):
            status = self._end()
            memory = self.sandbox.oom_killed() or status == -signal.SIGKILL
            return SandboxDied(_death_text(status, memory), memory=memory, status=status)
        return error

    def _end(self) -> int | None:
        pid, self.pid = self.pid, 0
        if not pid or self.sandbox.dead:
            return None
        try:
            status = self.sandbox.request("end_branch", pid=pid, wall_s=5.0)
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run_cell(self, source: str, *, wall_s: float, output_bytes: int) -> Mapping[str, Any]:
        """Run one cell; what :meth:`autograder.sandbox.frontend.Frontend.run_cell` says of it (a claim)."""
        result = self.request("cell", source=source, output_bytes=output_bytes, wall_s=wall_s)
        if type(result) is not dict:
            self.dead = WireError("an answer that is none")
            raise self.dead
        return result

    def branch(self, wall_s: float = 10.0) -> Branch:
        """A copy of the sandbox as it is now, for checks."""
        ours, theirs = socket.socketpair()
        with theirs:
            if self.dead:
                raise self.dead
            try:
                self.channel.send(encode({"op": "fork"}), wall_s)
                theirs_fd = array.array("i", [theirs.fileno()])
                self.channel.sock.setblocking(True)
                self.channel.sock.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, theirs_fd)])
                self.channel.sock.setblocking(False)
                header, payload = self.channel.receive(wall_s)
                answer = decode(header, payload, self.resolve)
            except (SandboxDied, SandboxTimeout, WireError, OSError) as error:
                ours.close()
                known = error if isinstance(error, SandboxError) else SandboxDied(str(error))
                self.dead = self.explain_death(known)
                raise self.dead from error
        pid = answer.get("ok") if type(answer) is dict else None
        if type(pid) is not int or pid < 2:
            ours.close()
            self.dead = WireError("the sandbox could not be copied")
            raise self.dead
        return Branch(Channel(ours, self.channel.bounds), self, pid)

    def oom_killed(self) -> bool:
        """Whether the kernel ended a process of this sandbox for want of memory."""
        return self._group is not None and self._group.oom_killed()

    def explain_death(self, error: SandboxError) -> SandboxError:
        """How the process ended."""
        if not isinstance(error, SandboxDied):
            return error
        status = self._await_end(2.0)
        memory = self.oom_killed()
        return SandboxDied(_death_text(status, memory), memory=memory, status=status)

    def _await_end(self, wall_s: float) -> int | None:
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        if poll.poll(wall_s * 1000):
            with contextlib.suppress(OSError, ValueError):
                self.usage = msgpack.unpackb(self._status.recv(4096))
        status = self.usage.get("status")
        return status if isinstance(status, int) else None

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


class Zygote:
    """A running zygote. :meth:`start` waits until it is warm."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, chain: str) -> None:
        self._process, self._control, self.chain = process, control, chain
        self.report: Mapping[str, Any] = {}
        self._pool: cgroup.CgroupPool | None = None
        self._pool_limits: Limits | None = None
        self._pool_pid = 0
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sandboxed(self) -> bool:
        """Whether children are jailed; false only after ``--unsafe-no-sandbox``."""
        return self.chain != "none"

    @classmethod
    def start(cls, *, sandbox: bool = True, device: str = "cpu") -> Zygote:
        """Start a zygote and wait until it is warm.

        :raises SandboxUnavailable: this machine cannot build a sandbox; the message names the cure.
        """
        return cls.launch(sandbox=sandbox, device=device).ready()

    @classmethod
    def launch(cls, *, sandbox: bool = True, device: str = "cpu") -> Zygote:
        """Start a zygote without waiting; call :meth:`ready` before :meth:`spawn`."""
        chain = "none"
        if sandbox:
            support = jail.support()
            if support.chain == "none":
                raise SandboxUnavailable(support.message())
            chain = support.chain
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = (
            f"import sys; sys.path.append({str(Path(__file__).resolve().parents[2])!r}); "
            "from autograder.sandbox.zygote import main; sys.exit(main(sys.argv[1:]))"
        )
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", code, str(theirs.fileno()), chain, device, _font_cache()],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                cwd="/",
            )
        return cls(process, ours, chain)

    def ready(self) -> Zygote:
        """Wait until it is warm; itself."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        message = self._control.recv(65536) if poll.poll(START_WALL_S * 1000) else b""
        if not message:
            self._process.kill()
            detail = (
                self._process.stderr.read().decode("utf-8", "replace")[-2000:] if self._process.stderr else ""
            )
            raise SandboxUnavailable(
                f"the sandbox did not start:\n{detail.strip() or 'it was not ready in time'}"
            )
        self.report = msgpack.unpackb(message)
        return self

    def spawn(self, limits: Limits, *, seed: int, wall_s: float = 30.0) -> Sandbox:
        """A fresh sandbox.

        :raises SandboxUnavailable: it could not be set up (our fault or the machine's, not the student's).
        """
        wire_ours, wire_theirs = socket.socketpair()
        status_ours, status_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        uid = _UID_BASE + (os.getpid() * 1000 + next(self._numbers)) % _UID_SPAN
        request = msgpack.packb({"seed": seed, "uid": uid, "limits": asdict(limits)})
        with wire_theirs, status_theirs:
            fds = array.array("i", [wire_theirs.fileno(), status_theirs.fileno()])
            try:
                self._control.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
            except OSError as error:
                raise SandboxUnavailable(f"the zygote is gone ({error}); start the command again") from error
        pidfd = _receive_pidfd(status_ours, wall_s)
        group = self._cgroup(limits)
        sandbox = Sandbox(
            Channel(wire_ours, Bounds(payload_bytes=limits.frame_mb << 20)), status_ours, pidfd, group
        )
        try:
            if group is not None:
                group.add(_host_pid(pidfd))
            missing = sandbox.request("hello", wall_s=wall_s)
        except SandboxError as error:
            sandbox.close()
            raise SandboxUnavailable(f"a sandbox could not be set up: {error}") from error
        layers = [str(name) for name in missing] if isinstance(missing, list) else []
        if group is None and self.sandboxed:
            layers.append("cgroup")
        sandbox.missing_layers = tuple(layers)
        return sandbox

    def _cgroup(self, limits: Limits) -> cgroup.Cgroup | None:
        if not self.sandboxed:
            return None
        key = (limits.memory_mb, limits.processes)
        old = self._pool_limits and (self._pool_limits.memory_mb, self._pool_limits.processes)
        if self._pool is None or self._pool_pid != os.getpid() or key != old:
            if self._pool is not None and self._pool_pid == os.getpid():
                self._pool.close()
            self._pool, self._pool_limits, self._pool_pid = cgroup.CgroupPool(limits), limits, os.getpid()
        return self._pool.acquire()

    def close(self) -> None:
        """End the zygote and every sandbox of it."""
        if self._pool is not None and self._pool_pid == os.getpid():
            self._pool.close()
            self._pool = None
        self._control.close()
        if self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2.0)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()

    def forget(self) -> None:
        """In a forked judge worker at its end: drop the inherited ends without ending the zygote."""
        if self._pool is not None and self._pool_pid == os.getpid():
            self._pool.close()
        self._control.close()


def _receive_pidfd(status: socket.socket, wall_s: float) -> int:
    poll = select.poll()
    poll.register(status, select.POLLIN)
    started = time.monotonic()
    if poll.poll(wall_s * 1000):
        _, ancillary, _, _ = status.recvmsg(4096, socket.CMSG_SPACE(4))
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS and len(data) >= 4:
                return array.array("i", data[:4])[0]
    raise SandboxUnavailable(f"the zygote did not start a sandbox within {time.monotonic() - started:.0f} s")


def _host_pid(pidfd: int) -> int:
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text(encoding="ascii").splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise SandboxUnavailable("the sandbox's process id cannot be read from /proc")


def _font_cache() -> str:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base) / "nn-autograder" / "matplotlib"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ""
    return str(folder)


def _environment() -> dict[str, str]:
    """What the zygote starts with: nothing of the grader's environment."""
    from autograder.sandbox.zygote import ENVIRONMENT

    wanted = dict(ENVIRONMENT)
    # Some processors need these to get right results from an older OpenBLAS; they carry nothing private.
    wanted.update(
        {name: os.environ[name] for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in os.environ}
    )
    return wanted
