"""Memory and process limits of a whole sandbox by control groups, versions 1 and 2. Used by the judge, outside the jail.

Groups are made once and used again (:class:`CgroupPool`): moving a process into one costs about 10 ms already.
Where no group can be made the pool says why, and the rlimits of the single processes remain.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from autograder.limits import Limits

__all__ = ["Cgroup", "CgroupPool"]

_PREFIX = "autograder"
_KILL_WALL_S = 2.0
_DELEGATE = "run it as `systemd-run --user --scope -p Delegate=yes …`, or as root"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where groups can be made: the parent folder of each controller. In version 2 there is one folder for all."""

    version: int
    memory: Path
    pids: Path | None

    @property
    def folders(self) -> list[Path]:
        parents = [self.memory, *([self.pids] if self.version == 1 and self.pids else [])]
        return list(dict.fromkeys(parents))


def _parse_memberships(text: str) -> dict[str, str]:
    """Controller → path of ``/proc/self/cgroup``; version 2 has the controller ``""``."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            paths[name] = path
    return paths


def _parse_mounts(text: str) -> dict[str, tuple[str, Path]]:
    """Controller → (path in the hierarchy that is shown, mount point) of ``/proc/self/mountinfo``."""
    mounts: dict[str, tuple[str, Path]] = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split()[:3]
        names = options.split(",") if kind == "cgroup" else [""] if kind == "cgroup2" else []
        for name in names:
            mounts.setdefault(name, (root, Path(point)))
    return mounts


def _own_folder(controller: str, memberships: dict[str, str], mounts: dict[str, tuple[str, Path]]) -> Path | None:
    """This process's group in the hierarchy of ``controller`` as a folder, if the mount shows it."""
    if controller not in memberships or controller not in mounts:
        return None
    root, point = mounts[controller]
    inside = os.path.relpath(memberships[controller], root)
    # A path outside what is mounted ("..") happens in containers: their own top folder is the mount point.
    folder = point if inside.startswith("..") else point / inside
    return folder if folder.is_dir() else None


def _write(path: Path, text: str) -> None:
    # not write_text: a control file must be written by one call and cannot be truncated
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []


def _table(path: Path) -> dict[str, int]:
    """A control file of lines ``name number``."""
    words = _words(path)
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=False) if number.isdigit()}


def _find(proc: Path, reasons: list[str]) -> _Place | None:
    """The best place for groups, or None with ``reasons``."""
    memberships = _parse_memberships((proc / "cgroup").read_text(encoding="utf-8"))
    mounts = _parse_mounts((proc / "mountinfo").read_text(encoding="utf-8"))
    memory = _own_folder("memory", memberships, mounts)
    if memory is not None:
        if not _can_make_groups(memory, reasons):
            return None
        pids = _own_folder("pids", memberships, mounts)
        return _Place(1, memory, pids if pids and _can_make_groups(pids, []) else None)
    own = _own_folder("", memberships, mounts)
    if own is None:
        reasons.append("no memory control group is mounted at /sys/fs/cgroup; mount one or start the container with it")
        return None
    return _find_v2(own, mounts[""][1], reasons)


def _can_make_groups(folder: Path, reasons: list[str]) -> bool:
    probe = folder / _name("probe")
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        reasons.append(f"{folder} is not writable ({error.strerror}); {_DELEGATE}")
        return False
    return True


def _find_v2(own: Path, top: Path, reasons: list[str], needed: str = "memory") -> _Place | None:
    """Own group or the nearest above it whose children get the memory controller and which lets us make some."""
    folder = own
    while True:
        if needed in _words(folder / "cgroup.subtree_control") and _can_move(folder) and _can_make_groups(folder, []):
            return _place_v2(folder)
        if folder == top or folder == folder.parent:
            break
        folder = folder.parent
    if needed not in _words(own / "cgroup.controllers"):
        reasons.append(f"the {needed} controller is not delegated to {own}; {_DELEGATE}")
        return None
    if not _can_make_groups(own, reasons):
        return None
    return _place_v2(own) if _become_inner(own, needed, reasons) else None


def _place_v2(folder: Path) -> _Place:
    with contextlib.suppress(OSError):
        _write(folder / "cgroup.subtree_control", "+pids")
    return _Place(2, folder, folder if "pids" in _words(folder / "cgroup.subtree_control") else None)


def _can_move(folder: Path) -> bool:
    return os.access(folder / "cgroup.procs", os.W_OK)


def _become_inner(own: Path, needed: str, reasons: list[str]) -> bool:
    """Hand ``needed`` down from our own group. In version 2 such a group may hold no process: we move to a leaf.

    Only done when the group holds nobody but this process: others are not ours to move.
    """
    try:
        try:
            _write(own / "cgroup.subtree_control", f"+{needed}")
            return True
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        members = set(_words(own / "cgroup.procs"))
        if members != {str(os.getpid())}:
            reasons.append(f"{own} holds {len(members) - 1} other processes, so it cannot be divided; {_DELEGATE}")
            return False
        leaf = own / _name("judge")
        leaf.mkdir(exist_ok=True)
        _write(leaf / "cgroup.procs", "0")
        _write(own / "cgroup.subtree_control", f"+{needed}")
    except OSError as error:
        reasons.append(f"{own} cannot be divided ({error.strerror}); {_DELEGATE}")
        return False
    return True


def _pidns() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _name(what: object) -> str:
    """A group's name: tells whose it is, so that a later judge can sweep up after a killed one."""
    return f"{_PREFIX}-{_pidns()}-{os.getpid()}-{what}"


def _sweep(place: _Place) -> None:
    """Remove empty groups of judges that are gone. Their sandboxes ended with them."""
    pattern = re.compile(rf"{_PREFIX}-{_pidns()}-(\d+)-\w+$")
    for parent in place.folders:
        for folder in parent.glob(f"{_PREFIX}-*"):
            match = pattern.match(folder.name)
            if match and not Path(f"/proc/{match[1]}").exists():
                with contextlib.suppress(OSError):  # not empty, or swept by another judge
                    folder.rmdir()


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
            _write(folder / "cgroup.procs", str(pid))

    def oom_killed(self) -> bool:
        """Whether the memory limit has ended a process of this sandbox."""
        return self._oom_kills() > self._oom_before

    def _oom_kills(self) -> int:
        file = "memory.oom_control" if self._pool.version == 1 else "memory.events"
        return _table(self._folders[0] / file).get("oom_kill", 0)

    def peak_mb(self) -> float | None:
        """Highest memory use of the whole sandbox so far in MiB; None where the kernel does not tell (before 5.19)."""
        file = "memory.max_usage_in_bytes" if self._pool.version == 1 else "memory.peak"
        words = _words(self._folders[0] / file)
        return int(words[0]) / (1 << 20) if words else None

    def members(self) -> list[int]:
        """Processes in the group now."""
        return sorted({int(word) for folder in self._folders for word in _words(folder / "cgroup.procs")} - {0})

    def kill(self) -> bool:
        """End every process of the group and wait until they are gone; false if one is left after two seconds."""
        deadline = time.monotonic() + _KILL_WALL_S
        while True:
            members = self.members()
            if not members:
                return True
            try:
                _write(self._folders[0] / "cgroup.kill", "1")  # version 2, Linux 5.14
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
            _write(memory / "memory.limit_in_bytes", size)
            with contextlib.suppress(OSError):  # without swap accounting there is no such file
                _write(memory / "memory.memsw.limit_in_bytes", size)
        else:
            _write(memory / "memory.max", size)
            with contextlib.suppress(OSError):
                _write(memory / "memory.swap.max", "0")
        for folder in self._folders:
            if (folder / "pids.max").exists():
                _write(folder / "pids.max", str(int(limits.processes)))

    def _reset(self) -> bool:
        """Counters as in a new group; false when it must be made anew."""
        memory = self._folders[0]
        try:
            if self._pool.version == 1:
                _write(memory / "memory.force_empty", "0")
                _write(memory / "memory.max_usage_in_bytes", "0")
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
    _place: _Place | None = None
    _idle: list[Cgroup] = field(default_factory=list)
    _all: list[Cgroup] = field(default_factory=list)
    _made: int = 0
    _owner: int = field(default_factory=os.getpid)

    def __post_init__(self) -> None:
        reasons: list[str] = []
        try:
            self._place = _find(Path("/proc/self"), reasons)
            if self._place is not None:
                _sweep(self._place)
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

    def _new(self, place: _Place) -> Cgroup:
        self._made += 1
        # id(self) keeps pools of one process apart
        name = _name(f"{id(self):x}x{self._made}")
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
        """End all processes in the groups and remove them. May be called twice; in a forked copy it does nothing."""
        if self._owner != os.getpid():
            return
        for group in self._all:
            group.kill()
            deadline = time.monotonic() + _KILL_WALL_S
            while not group._remove() and time.monotonic() < deadline:
                time.sleep(0.005)
        self._all.clear()
        self._idle.clear()
