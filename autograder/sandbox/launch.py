"""Start a zygote from the judge's side, and spawn sandboxes from it."""

from __future__ import annotations

import array
import contextlib
import itertools
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgpack

from autograder.affinity import own_processors
from autograder.datasets import SAMPLES, DataSets
from autograder.errors import SandboxError, SandboxUnavailable
from autograder.limits import Limits
from autograder.sandbox import cgroup, jail
from autograder.sandbox.stored import fill, memory_file, reserve
from autograder.sandbox.warmup import PARTS
from autograder.stages import Stages

if TYPE_CHECKING:
    from autograder.sandbox.client import Sandbox

__all__ = ["Zygote"]

START_WALL_S = 120.0
"""How long the zygote may import and warm up."""
_UID_BASE = 1_879_048_192
_UID_SPAN = 1_000_000


class Zygote:
    """A running zygote. :meth:`start` waits until it is warm."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, chain: str) -> None:
        self._process, self._control, self.chain = process, control, chain
        self.report: Mapping[str, Any] = {}
        self._pools: dict[tuple[int, int], cgroup.CgroupPool] = {}
        self._pools_pid = 0
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    @property
    def sandboxed(self) -> bool:
        """Whether children are jailed; false only after ``--unsafe-no-sandbox``."""
        return self.chain != "none"

    @classmethod
    def start(
        cls,
        *,
        sandbox: bool = True,
        device: str = "cpu",
        hide: Sequence[Path] = (),
        parts: Sequence[str] = tuple(PARTS),
        data: DataSets | None = None,
        cells: Sequence[str] = (),
    ) -> Zygote:
        """Start a zygote and wait until it is warm.

        ``hide`` are folders that no sandbox may see even where they lie below something shown, ``parts``
        what to warm up beside the basics (see :mod:`autograder.sandbox.warmup`), ``data`` the data sets
        whose served rows notebooks can fetch, ``cells`` the texts of code cells that most notebooks have in
        common, nothing of which may be a secret: it parses them once.

        :raises SandboxUnavailable: this machine cannot build a sandbox; the message names the cure.
        """
        return cls.launch(
            sandbox=sandbox, device=device, hide=hide, parts=parts, data=data, cells=cells
        ).ready()

    @classmethod
    def launch(
        cls,
        *,
        sandbox: bool = True,
        device: str = "cpu",
        hide: Sequence[Path] = (),
        parts: Sequence[str] = tuple(PARTS),
        data: DataSets | None = None,
        cells: Sequence[str] = (),
    ) -> Zygote:
        """Start a zygote without waiting; call :meth:`ready` before :meth:`spawn`."""
        chain = "none"
        if sandbox:
            support = jail.support()
            if support.chain == "none":
                raise SandboxUnavailable(support.message())
            chain = support.chain
            if "seccomp" in support.missing:
                raise SandboxUnavailable(
                    "libseccomp is missing, so sandboxes could reach the host's kernel; "
                    "install it (Debian, Ubuntu: apt install libseccomp2)"
                )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = (
            f"import sys; sys.path.append({str(Path(__file__).resolve().parents[2])!r}); "
            "from autograder.sandbox.zygote import main; sys.exit(main(sys.argv[1:]))"
        )
        data = data or DataSets()
        stored = reserve(data)
        with theirs, contextlib.ExitStack() as files:
            for item in stored:
                files.callback(os.close, item.fd)
            texts = files.enter_context(open(memory_file("cells"), "w+b"))
            texts.write(msgpack.packb(cells))
            texts.seek(0)
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", code, str(theirs.fileno())],
                env=_environment(),
                stdin=texts,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(), *(item.fd for item in stored)),
                cwd="/",
            )
            told = {
                "chain": chain,
                "data": [item.fields() for item in stored],
                "device": device,
                "font_cache": _font_cache(),
                "hide": [str(path) for path in (*hide, SAMPLES)],  # the samples hold the rows kept back
                "parent": os.getpid(),
                "parts": list(parts),
            }
            zygote = cls(process, ours, chain)
            try:
                ours.send(msgpack.packb(told))
                fill(data, stored)  # while the zygote imports: the full MNIST takes a second
            except BaseException:  # Ctrl-C too: no zygote stays behind, and the error goes on
                zygote.close()
                raise
        return zygote

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

    def spawn(
        self, limits: Limits, *, seed: int, execution: str = "autograde", wall_s: float = 30.0
    ) -> Sandbox:
        """A fresh sandbox. ``execution`` is what its code finds in ``NBGRADER_EXECUTION``.

        :raises SandboxUnavailable: it could not be set up (our fault or the machine's, not the student's).
        """
        # Here, as both import torch: the zygote does so too, beside us, once it has been launched.
        from autograder.sandbox.client import READ_AHEAD, Sandbox
        from autograder.wire import Bounds, Channel

        wire_ours, wire_theirs = socket.socketpair()
        status_ours, status_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        uid = _UID_BASE + (os.getpid() * 1000 + next(self._numbers)) % _UID_SPAN
        stages = Stages()
        with stages("control group"):
            group = self._cgroup(limits)
        fields = {"seed": seed, "uid": uid, "limits": asdict(limits), "execution": execution}
        cpus = own_processors()
        request = msgpack.packb({**fields, "watch_memory": group is None, "cpus": sorted(cpus)})
        with wire_theirs, status_theirs:
            fds = array.array("i", [wire_theirs.fileno(), status_theirs.fileno()])
            try:
                with stages("fork"):
                    self._control.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
                    pidfd = _receive_pidfd(status_ours, wall_s)
            except (OSError, SandboxUnavailable) as error:
                if group is not None:
                    group.release()
                if isinstance(error, SandboxUnavailable):
                    raise
                raise SandboxUnavailable(f"the zygote is gone ({error}); start the command again") from error
        sandbox = Sandbox(
            Channel(wire_ours, Bounds(payload_bytes=limits.frame_mb << 20), ahead=READ_AHEAD),
            status_ours,
            pidfd,
            group,
        )
        try:
            if group is not None:
                with stages("control group"):
                    group.add(_host_pid(pidfd))
            with stages("jail"):
                missing = sandbox.request("hello", wall_s=wall_s)
        except (SandboxError, OSError) as error:  # OSError: it ended before it could join its cgroup
            sandbox.close()
            raise SandboxUnavailable(f"a sandbox could not be set up: {error}") from error
        layers = [str(name) for name in missing] if isinstance(missing, list) else []
        if group is None and self.sandboxed:
            layers.append("cgroup")
            if "proc" in layers:  # then the zygote has none either, and cannot see what they hold together
                layers.append("watch")
        sandbox.missing_layers, sandbox.setup_s = tuple(layers), stages.seconds
        return sandbox

    def _cgroup(self, limits: Limits) -> cgroup.Cgroup | None:
        if not self.sandboxed:
            return None
        if self._pools_pid != os.getpid():  # those of the process that this one was forked from are its own
            self._pools, self._pools_pid = {}, os.getpid()
        key = (limits.memory_mb, limits.processes)
        if key not in self._pools:
            self._pools[key] = cgroup.CgroupPool(limits)
        return self._pools[key].acquire()

    def _close_pools(self) -> None:
        if self._pools_pid == os.getpid():
            for pool in self._pools.values():
                pool.close()
        self._pools = {}

    def close(self) -> None:
        """End the zygote and every sandbox of it."""
        self._close_pools()
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
        self._close_pools()
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
        if line.startswith("Pid:") and int(line.split()[1]) > 0:  # 0 would mean this very process to a cgroup
            return int(line.split()[1])
    raise SandboxUnavailable("the sandbox ended at once, or its process id cannot be read from /proc")


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
