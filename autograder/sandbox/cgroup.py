"""Memory and process limits of a whole sandbox by control groups, versions 1 and 2. Used by the judge,
outside the jail.

Groups are made once and used again (:class:`CgroupPool`): moving a process into one costs about 10 ms
already. Where no group can be made the pool says why, and the rlimits of the single processes remain.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from autograder.limits import Limits
from autograder.sandbox.hierarchy import Place, find, name_of, sweep, table, words, write

__all__ = ["Cgroup", "CgroupPool"]

_KILL_WALL_S = 2.0


@dataclass(eq=False, slots=True)
class Cgroup:
    """One group, for one sandbox at a time."""

    _pool: CgroupPool
    _folders: tuple[Path, ...]
    """Memory first; the second is pids where it has a hierarchy of its own (version 1)."""
    _oom_before: int = 0
    _peak_is_stale: bool = False

    def add(self, pid: int) -> None:
        """Move process ``pid`` (as this process sees it) and what it starts from now on into the group.

        Raises :class:`ProcessLookupError` when it has ended, :class:`OSError` when the kernel refuses.
        """
        for folder in self._folders:
            write(folder / "cgroup.procs", str(pid))

    def oom_killed(self) -> bool:
        """Whether the memory limit has ended a process of this sandbox."""
        return self._oom_kills() > self._oom_before

    def _oom_kills(self) -> int:
        file = "memory.oom_control" if self._pool.version == 1 else "memory.events"
        return table(self._folders[0] / file).get("oom_kill", 0)

    def peak_mb(self) -> float | None:
        """Highest memory use of the sandbox in MiB; None where the kernel does not tell (before 5.19)."""
        file = "memory.max_usage_in_bytes" if self._pool.version == 1 else "memory.peak"
        peak = words(self._folders[0] / file)
        return int(peak[0]) / (1 << 20) if peak else None

    def members(self) -> list[int]:
        """Processes in the group now."""
        return sorted(
            {int(word) for folder in self._folders for word in words(folder / "cgroup.procs")} - {0}
        )

    def kill(self) -> bool:
        """End every process of the group and wait for that; false if one is left after two seconds."""
        deadline = time.monotonic() + _KILL_WALL_S
        while True:
            members = self.members()
            if not members:
                return True
            try:
                write(self._folders[0] / "cgroup.kill", "1")  # version 2, Linux 5.14
            except OSError:
                for pid in members:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)

    def release(self) -> None:
        """End what is left in the group and give it back to the pool."""
        self._pool._take_back(self)

    def _limit(self, limits: Limits) -> None:
        memory = self._folders[0]
        size = str(int(limits.memory_mb * (1 << 20)))
        if self._pool.version == 1:
            write(memory / "memory.limit_in_bytes", size)
            with contextlib.suppress(OSError):  # without swap accounting there is no such file
                write(memory / "memory.memsw.limit_in_bytes", size)
        else:
            write(memory / "memory.max", size)
            with contextlib.suppress(OSError):
                write(memory / "memory.swap.max", "0")
        for folder in self._folders:
            if (folder / "pids.max").exists():
                write(folder / "pids.max", str(int(limits.processes)))

    def _reset(self) -> bool:
        """Counters as in a new group; false when it must be made anew."""
        memory = self._folders[0]
        try:
            if self._pool.version == 1:
                write(memory / "memory.force_empty", "0")
                write(memory / "memory.max_usage_in_bytes", "0")
            elif (memory / "memory.peak").exists():
                return False  # the peak of a group of version 2 cannot be set back for all readers
        except OSError:
            return False
        self._oom_before = self._oom_kills()
        return True

    def _make(self) -> None:
        for folder in self._folders:
            folder.mkdir(exist_ok=True)
        self._oom_before = self._oom_kills()

    def _remove(self) -> bool:
        gone = True
        for folder in self._folders:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                gone = False
        return gone


@dataclass(eq=False)
class CgroupPool:
    """Groups of one judge with the same ``limits``. Use it as a context manager, or :meth:`close` it.

    ``available`` tells whether there are any; ``reasons`` why not, with the cure; ``missing`` what they lack.
    """

    limits: Limits
    reasons: tuple[str, ...] = ()
    _place: Place | None = None
    _idle: list[Cgroup] = field(default_factory=list)
    _all: list[Cgroup] = field(default_factory=list)
    _made: int = 0
    _owner: int = field(default_factory=os.getpid)

    def __post_init__(self) -> None:
        reasons: list[str] = []
        try:
            self._place = find(Path("/proc/self"), reasons)
            if self._place is not None:
                sweep(self._place)
        except (OSError, ValueError) as error:
            reasons.append(f"control groups cannot be read ({error})")
        self.reasons = tuple(reasons)

    def __enter__(self) -> CgroupPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def available(self) -> bool:
        """Whether :meth:`acquire` gives groups."""
        return self._place is not None

    @property
    def version(self) -> int:
        """1 or 2; 0 when there is none."""
        return self._place.version if self._place else 0

    @property
    def missing(self) -> tuple[str, ...]:
        """Layers that a sandbox will lack: ``cgroup-memory``, ``cgroup-pids``."""
        if self._place is None:
            return ("cgroup-memory", "cgroup-pids")
        return () if self._place.pids else ("cgroup-pids",)

    def acquire(self) -> Cgroup | None:
        """An empty group with the limits set; None where there are no groups (see ``reasons``)."""
        if self._place is None:
            return None
        while self._idle:
            group = self._idle.pop()
            if all(folder.is_dir() for folder in group._folders):
                return group
            self._all.remove(group)
        try:
            return self._new(self._place)
        except OSError as error:
            self.reasons = (*self.reasons, f"a control group could not be made ({error})")
            return None

    def _new(self, place: Place) -> Cgroup:
        self._made += 1
        # id(self) keeps pools of one process apart
        name = name_of(f"{id(self):x}x{self._made}")
        group = Cgroup(self, tuple(folder / name for folder in place.folders))
        self._all.append(group)
        group._make()
        group._limit(self.limits)
        return group

    def _take_back(self, group: Cgroup) -> None:
        if self._owner != os.getpid() or group not in self._all or group in self._idle:
            return
        if group.kill():
            if group._reset():
                self._idle.append(group)
                return
            if group._remove():
                self._all.remove(group)
                with contextlib.suppress(OSError):
                    if self._place is not None:
                        self._idle.append(self._new(self._place))
                return
        # a process that cannot be killed yet: leave the group to close() and to the next judge's sweep

    def close(self) -> None:
        """End all processes in the groups and remove these. Does nothing twice or in a forked copy."""
        if self._owner != os.getpid():
            return
        for group in self._all:
            group.kill()
            deadline = time.monotonic() + _KILL_WALL_S
            while not group._remove() and time.monotonic() < deadline:
                time.sleep(0.005)
        self._all.clear()
        self._idle.clear()
