"""The warm process that forks sandboxes: ``python -m autograder.sandbox.zygote``, started by :mod:`.client`.

It imports what notebooks import, warms up what is imported lazily (the first optimizer step alone costs a
second), closes itself off from the host, and then forks a jailed child for each request. It never runs
student code, and it is started with an empty environment, so that nothing worth reading lies in the memory
its children inherit.

On its standard input come the texts of cells that most notebooks have in common, as a msgpack list.
Requests come as datagrams on the control socket: a msgpack map ``{seed, uid, limits, execution,
watch_memory, cpus}`` and two descriptors, the sandbox's end of the wire and a status socket. On the status
socket it sends ``{pid}`` with a pidfd, ``{memory_kills}`` when it had to end a process of the sandbox for
want of memory (see :mod:`autograder.sandbox.watch`), and ``{status, maxrss_kb, cpu_s}`` when the child has
ended. Closing the status socket kills it.
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgpack

from autograder.errors import SandboxDied
from autograder.limits import Limits
from autograder.sandbox import jail, linux, served, watch
from autograder.sandbox.compaction import fill_holes
from autograder.sandbox.warmup import warm_up

__all__ = ["ENVIRONMENT", "main"]

ENVIRONMENT = {
    "HOME": "/home/student",
    "IPYTHONDIR": "/tmp/.ipython",
    "JUPYTER_PLATFORM_DIRS": "1",
    "LANG": "C.UTF-8",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MPLCONFIGDIR": "/tmp/.matplotlib",
    "NBGRADER_EXECUTION": "autograde",
    "OMP_NUM_THREADS": "1",
    # No parallel region ever gets a second thread, whatever student code asks for: pools do not survive a
    # fork.
    "OMP_THREAD_LIMIT": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONBREAKPOINT": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "TERM": "dumb",
    "USER": "student",
}
"""The whole environment of student code."""
_CONFESSION_S = 5.0
"""How long a sandbox that cannot be set up waits for the question to which it answers why."""


@dataclass(frozen=True)
class _Warm:
    """What each child starts with."""

    frontend: Any
    support: Any
    data_fds: tuple[int, ...]
    data_mb: int
    shared_mb: int
    folders: str
    """Without a sandbox: where each child gets a folder, which is removed when it has ended."""


@dataclass
class _Child:
    pid: int
    pidfd: int
    status: socket.socket
    watched: watch.Watched


def main(arguments: list[str]) -> int:
    """Serve until the control socket closes; ``arguments`` is its descriptor, the rest comes over it."""
    gc.disable()  # imports make objects that stay: to look for garbage among them takes a tenth of the start
    control = socket.socket(fileno=int(arguments[0]))
    told = msgpack.unpackb(control.recv(65536))
    cells = msgpack.unpackb(sys.stdin.buffer.read())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    chain, device, font_cache = told["chain"], told["device"], told["font_cache"]
    stored = [served.Stored(**fields) for fields in told["data"]]
    data_fds = tuple(item.fd for item in stored)
    support = None
    if chain != "none":
        support = jail.support_for(chain)
        jail.become_init(support, keep_fds=(control.fileno(), *data_fds), parent=told["parent"])
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(ENVIRONMENT, HOME=home, IPYTHONDIR=home)
        if font_cache:
            os.environ["MPLCONFIGDIR"] = font_cache  # else matplotlib searches all fonts at each start
        frontend = warm_up(device, told["parts"], cells)
        served.install(stored)
    warm_s = time.perf_counter() - started
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise SystemExit(f"zygote: {threads} threads after the warm-up; a fork would lose all but one")
    gc.collect()
    fill_holes()
    # Huge pages cut the time of a fork of this large heap to a third.
    collapsed_mb = linux.collapse_heap()
    gc.freeze()
    gc.enable()
    if support is not None:
        jail.build_root(jail.RootSpec(hide=tuple(told["hide"]), devices=device == "cuda"))
    control.send(msgpack.packb({"ready": True, "warm_s": warm_s, "collapsed_mb": collapsed_mb}))
    data_mb = sum(os.fstat(fd).st_size for fd in data_fds) >> 20
    with contextlib.ExitStack() as stack:
        folders = ""
        if support is None:
            folders = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="autograder-", ignore_cleanup_errors=True)
            )
        return _serve(control, _Warm(frontend, support, data_fds, data_mb, watch.shared_mb(), folders))


def _serve(control: socket.socket, warm: _Warm) -> int:
    children: dict[int, _Child] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    watches = warm.support is not None and watch.available()
    next_look = 0.0
    while True:
        if watches and children and time.monotonic() >= next_look:
            _look(children.values())
            next_look = time.monotonic() + watch.PERIOD_S
        for fd, _event in poll.poll(watch.PERIOD_S * 1000 if watches and children else None):
            if fd == control.fileno():
                request = _receive(control)
                if request is None:
                    return 0
                child = _start(request, warm)
                children[child.pidfd] = child
                children[child.status.fileno()] = child
                poll.register(child.pidfd, select.POLLIN)
                poll.register(child.status, select.POLLHUP)
            elif fd in children:
                child = children[fd]
                if fd == child.status.fileno():
                    poll.unregister(fd)
                    del children[fd]
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child.pid, signal.SIGKILL)
                else:
                    poll.unregister(fd)
                    del children[fd]
                    if children.pop(child.status.fileno(), None):
                        poll.unregister(child.status)
                    _reap(child, warm.folders)


def _look(children: Iterable[_Child]) -> None:
    """Hold each sandbox to its limits, and tell its judge when one ran out of memory."""
    everything = watch.processes()
    for child in {child.pid: child for child in children}.values():
        before = child.watched.killed
        child.watched.look(everything)
        if child.watched.killed > before:
            with contextlib.suppress(OSError):
                child.status.send(msgpack.packb({"memory_kills": child.watched.killed}))


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    data, ancillary, _, _ = control.recvmsg(65536, socket.CMSG_SPACE(8))
    if not data:
        return None
    numbers = array.array("i")
    for level, kind, part in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(part[: len(part) - len(part) % numbers.itemsize])
    return msgpack.unpackb(data), list(numbers)


def _start(request: tuple[dict[str, Any], list[int]], warm: _Warm) -> _Child:
    fields, (wire_fd, status_fd) = request
    pid = jail.fork_in_new_pidns() if warm.support is not None else os.fork()
    if pid == 0:
        _child(fields, wire_fd, status_fd, warm)
    os.close(wire_fd)
    pidfd = os.pidfd_open(pid)
    status = socket.socket(fileno=status_fd)
    with contextlib.suppress(OSError):
        status.sendmsg(
            [msgpack.packb({"pid": pid})],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pidfd]))],
        )
    limits, memory_mb = fields["limits"], None
    if fields["watch_memory"]:
        memory_mb = limits["memory_mb"]
    watched = watch.Watched(pid, memory_mb, limits["processes"], warm.shared_mb)
    return _Child(pid, pidfd, status, watched)


def _child(fields: dict[str, Any], wire_fd: int, status_fd: int, warm: _Warm) -> None:
    """Never returns: the sandbox from its first instruction to its last."""
    serving = False
    try:
        from autograder.sandbox.agent import Agent
        from autograder.wire import Bounds, Channel

        limits = Limits(**fields["limits"])
        if fields["cpus"]:  # those of its judge: see autograder.affinity
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, fields["cpus"])
        # Mapping a data set takes address space, though no memory; notebook and check may both do it twice.
        limits = replace(limits, memory_mb=limits.memory_mb + 4 * warm.data_mb)
        _reopen(warm.data_fds)
        keep_fds = (wire_fd, *warm.data_fds)
        if warm.support is not None:
            layers = jail.enter_child(warm.support, limits, uid=fields["uid"], keep_fds=keep_fds)
        else:
            layers = jail.enter_unsafe(limits, keep_fds=keep_fds)
            own = os.path.join(warm.folders, str(os.getpid()))
            os.mkdir(own, 0o700)
            os.chdir(own)
        channel = Channel(socket.socket(fileno=wire_fd), Bounds(payload_bytes=limits.frame_mb << 20))
        warm.frontend.attach(limits.submission_output_kb << 10)
        os.environ.clear()
        os.environ.update(ENVIRONMENT, NBGRADER_EXECUTION=fields["execution"])
        agent = Agent(channel, warm.frontend, seed=fields["seed"], missing=list(layers.missing))
        serving = True
        agent.serve()
    except SandboxDied:
        pass  # the judge closed the wire: how every sandbox and every copy of one ends
    except BaseException as error:  # whatever it is, a child never returns into the zygote's loop
        with contextlib.suppress(BaseException):
            if not serving:
                _confess(wire_fd, error)
    finally:
        os._exit(0)


def _confess(wire_fd: int, error: BaseException) -> None:
    """Answer the judge's first request with what went wrong: it would only see that the process ended."""
    from autograder.wire import Channel, encode

    channel = Channel(socket.socket(fileno=wire_fd))
    channel.receive(_CONFESSION_S)
    text = str(error)[:500]
    channel.send(
        encode({"failed": {"type": type(error).__name__, "kinds": [], "text": text, "trace": ""}}),
        _CONFESSION_S,
    )


def _reopen(fds: Iterable[int]) -> None:
    """Put descriptions of their own behind these descriptors: one that is shared has a position and flags in
    which sandboxes could leave each other messages."""
    for fd in fds:
        with contextlib.suppress(OSError):  # no /proc
            own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
            os.dup2(own, fd)
            os.close(own)


def _reap(child: _Child, folders: str) -> None:
    _, status, usage = os.wait4(child.pid, 0)
    if folders:
        shutil.rmtree(os.path.join(folders, str(child.pid)), ignore_errors=True)
    report = {
        "status": os.waitstatus_to_exitcode(status),
        "maxrss_kb": usage.ru_maxrss,
        "cpu_s": usage.ru_utime + usage.ru_stime,
    }
    with contextlib.suppress(OSError):
        child.status.send(msgpack.packb(report))
    child.status.close()
    os.close(child.pidfd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
