"""The zygote's eye on its sandboxes: memory of a whole sandbox where no control group bounds it, and fair
shares of the processors.

rlimits bound one process, and a sandbox may have many. Every tenth of a second the zygote adds up what all
processes of a sandbox hold. What they share with the zygote is not theirs: where a quick sum is over the
limit, the kernel's proportional one (``Pss`` in ``smaps_rollup``, ``Documentation/filesystems/proc.rst``)
decides. As the kernel would, it ends the largest process, and all of them when that does not help.

A sandbox that keeps many processes busy gets a lower priority for each, so that all together weigh about as
much as one process of another sandbox (a step of ``nice`` is a factor of 1.25). Where the kernel shares
processors between sessions (``sched_autogroup_enabled``) it does that by itself: a sandbox is one session,
and cannot begin another.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

__all__ = ["PERIOD_S", "Process", "Watched", "available", "processes", "shared_mb"]

PERIOD_S = 0.1
"""Time between two looks."""
_KERNEL_KB_PER_SOCKET = 416
"""What a socket may hold in the kernel: twice the usual net.core.wmem_max."""
_BUSY = 3
"""Busy threads from which a sandbox weighs less."""
_NICE_PER_DOUBLING = math.log(2) / math.log(1.25)


@dataclass(frozen=True, slots=True)
class Process:
    """One line of ``/proc/PID/stat``: parent, state, number of threads."""

    pid: int
    parent: int
    state: str
    threads: int


def available() -> bool:
    """Whether this process sees a ``/proc`` of its own namespace."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def processes() -> dict[int, Process]:
    """All processes that ``/proc`` shows."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (text := _read(f"/proc/{name}/stat")):
            fields = text.rpartition(")")[2].split()  # the name before may hold anything
            found[int(name)] = Process(int(name), int(fields[1]), fields[0], int(fields[17]))
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # it has ended, or is not ours to read
        return ""


@dataclass
class Watched:
    """One sandbox: its first process ``pid``, and its limits. ``memory_mb`` is None where a control group
    bounds it; ``shared_mb`` is what each process has in common with the zygote."""

    pid: int
    memory_mb: int | None
    processes: int
    shared_mb: int
    killed: int = 0
    """Processes that were ended for want of memory."""
    _over: int = field(default=0, repr=False)

    def look(self, everything: dict[int, Process]) -> bool:
        """Hold the limits now. True if something had to be ended."""
        family = sorted(self._family(everything))
        if sum(everything[pid].threads for pid in family) > self.processes + 1:
            self._end(self.pid)
            return True
        self._be_fair(family, everything)
        return self.memory_mb is not None and self._hold_memory(family, self.memory_mb)

    def _family(self, everything: dict[int, Process]) -> Iterator[int]:
        """The sandbox's processes: an orphan becomes a child of the first one."""
        children: dict[int, list[int]] = {}
        for process in everything.values():
            children.setdefault(process.parent, []).append(process.pid)
        todo = [self.pid] if self.pid in everything else []
        while todo:
            pid = todo.pop()
            yield pid
            todo += children.get(pid, ())

    # -- memory

    def _hold_memory(self, family: Collection[int], memory_mb: int) -> bool:
        limit_kb = (memory_mb + self.shared_mb) << 10
        sockets_kb = _KERNEL_KB_PER_SOCKET * _sockets(self.pid)
        if sockets_kb + sum(_resident_kb(pid) for pid in family) <= limit_kb:
            self._over = 0
            return False
        held = {pid: _proportional_kb(pid, self.shared_mb << 10) for pid in family}
        total_kb = sockets_kb + sum(held.values())
        if total_kb <= limit_kb:
            self._over = 0
            return False
        self._over += 1
        largest = max(held, key=lambda pid: held[pid])
        alone = self._over == 1 and total_kb - held[largest] <= limit_kb
        self._end(largest if alone else self.pid)
        self.killed += 1
        return True

    @staticmethod
    def _end(pid: int) -> None:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)

    # -- processors

    def _be_fair(self, family: Collection[int], everything: dict[int, Process]) -> None:
        many = sum(everything[pid].threads for pid in family)
        if many < _BUSY:  # the sandbox, and a copy of it
            return
        busy = sum(
            _running(pid) if everything[pid].threads > 1 else everything[pid].state == "R" for pid in family
        )
        if busy < _BUSY:
            return
        nice = min(19, math.ceil(_NICE_PER_DOUBLING * math.log2(busy)))
        for pid in family:
            for task in _tasks(pid):
                with contextlib.suppress(OSError):
                    if os.getpriority(os.PRIO_PROCESS, task) < nice:
                        os.setpriority(os.PRIO_PROCESS, task, nice)


def _tasks(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def _running(pid: int) -> int:
    stats = (_read(f"/proc/{pid}/task/{task}/stat") for task in _tasks(pid))
    return sum(stat.rpartition(")")[2].split()[:1] == ["R"] for stat in stats)


def _resident_kb(pid: int) -> int:
    """Memory that is not a file's, counted once for each process that has it."""
    return sum(
        int(line.split()[1])
        for line in _read(f"/proc/{pid}/status").splitlines()
        if line.startswith(("RssAnon:", "RssShmem:"))
    )


def _proportional_kb(pid: int, shared_kb: int) -> int:
    """Memory that is not a file's, each page divided by the number of processes that have it."""
    found = [
        int(line.split()[1])
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines()
        if line.startswith(("Pss_Anon:", "Pss_Shmem:", "SwapPss:"))
    ]
    return sum(found) if found else max(0, _resident_kb(pid) - shared_kb)


def _sockets(pid: int) -> int:
    """Open sockets in the network namespace of ``pid``."""
    words = _read(f"/proc/{pid}/net/sockstat").split()
    return int(words[2]) if words[:2] == ["sockets:", "used"] and words[2].isdigit() else 0


def shared_mb() -> int:
    """What a child of this process has in common with it at first."""
    return _resident_kb(os.getpid()) >> 10
