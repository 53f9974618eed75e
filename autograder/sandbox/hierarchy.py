"""Where control groups can be made: our own group in version 1 or 2, what it may hand down, and leftovers.

Version 1: one tree for each controller, ``Documentation/admin-guide/cgroup-v1``. Version 2: one tree in which
a group either holds processes or hands controllers down, ``Documentation/admin-guide/cgroup-v2.rst``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Place", "find", "find_v2", "name_of", "parse_mounts", "sweep", "table", "words", "write"]

_PREFIX = "autograder"
_DELEGATE = "run it as `systemd-run --user --scope -p Delegate=yes …`, or as root"


@dataclass(frozen=True, slots=True)
class Place:
    """Where groups can be made: the parent folder of each controller, one for all in version 2."""

    version: int
    memory: Path
    pids: Path | None

    @property
    def folders(self) -> list[Path]:
        """The parent folders, memory first, each once."""
        parents = [self.memory, *([self.pids] if self.version == 1 and self.pids else [])]
        return list(dict.fromkeys(parents))


def parse_memberships(text: str) -> dict[str, str]:
    """Controller → path of ``/proc/self/cgroup``; version 2 has the controller ``""``."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            paths[name] = path
    return paths


def parse_mounts(text: str) -> dict[str, tuple[str, Path]]:
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


def own_folder(
    controller: str, memberships: dict[str, str], mounts: dict[str, tuple[str, Path]]
) -> Path | None:
    """This process's group in the hierarchy of ``controller`` as a folder, if the mount shows it."""
    if controller not in memberships or controller not in mounts:
        return None
    root, point = mounts[controller]
    inside = os.path.relpath(memberships[controller], root)
    # A path outside what is mounted ("..") happens in containers: their own top folder is the mount point.
    folder = point if inside.startswith("..") else point / inside
    return folder if folder.is_dir() else None


def write(path: Path, text: str) -> None:
    """Write ``text`` to a control file."""
    # not write_text: a control file must be written by one call and cannot be truncated
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def words(path: Path) -> list[str]:
    """What a control file says, split at white space; nothing where there is no such file."""
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []


def table(path: Path) -> dict[str, int]:
    """A control file of lines ``name number``."""
    pairs = words(path)
    return {
        name: int(number) for name, number in zip(pairs[::2], pairs[1::2], strict=False) if number.isdigit()
    }


def find(proc: Path, reasons: list[str]) -> Place | None:
    """The best place for groups, or None with ``reasons``."""
    memberships = parse_memberships((proc / "cgroup").read_text(encoding="utf-8"))
    mounts = parse_mounts((proc / "mountinfo").read_text(encoding="utf-8"))
    memory = own_folder("memory", memberships, mounts)
    if memory is not None:
        if not _can_make_groups(memory, reasons):
            return None
        pids = own_folder("pids", memberships, mounts)
        return Place(1, memory, pids if pids and _can_make_groups(pids, []) else None)
    own = own_folder("", memberships, mounts)
    if own is None:
        reasons.append(
            "no memory control group is mounted at /sys/fs/cgroup; mount one or start the container with it"
        )
        return None
    return find_v2(own, mounts[""][1], reasons)


def _can_make_groups(folder: Path, reasons: list[str]) -> bool:
    probe = folder / name_of("probe")
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        reasons.append(f"{folder} is not writable ({error.strerror}); {_DELEGATE}")
        return False
    return True


def find_v2(own: Path, top: Path, reasons: list[str], needed: str = "memory") -> Place | None:
    """The nearest group, from our own upwards, that hands memory down and lets us make children."""
    folder = own
    while True:
        if (
            needed in words(folder / "cgroup.subtree_control")
            and _can_move(folder)
            and _can_make_groups(folder, [])
        ):
            return _place_v2(folder)
        if folder == top or folder == folder.parent:
            break
        folder = folder.parent
    if needed not in words(own / "cgroup.controllers"):
        reasons.append(f"the {needed} controller is not delegated to {own}; {_DELEGATE}")
        return None
    if not _can_make_groups(own, reasons):
        return None
    return _place_v2(own) if _become_inner(own, needed, reasons) else None


def _place_v2(folder: Path) -> Place:
    with contextlib.suppress(OSError):
        write(folder / "cgroup.subtree_control", "+pids")
    return Place(2, folder, folder if "pids" in words(folder / "cgroup.subtree_control") else None)


def _can_move(folder: Path) -> bool:
    return os.access(folder / "cgroup.procs", os.W_OK)


def _become_inner(own: Path, needed: str, reasons: list[str]) -> bool:
    """Hand ``needed`` down from our own group. In version 2 such a group may hold no process: we move to a
    leaf.

    Only done when the group holds nobody but this process: others are not ours to move.
    """
    try:
        try:
            write(own / "cgroup.subtree_control", f"+{needed}")
            return True
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        members = set(words(own / "cgroup.procs"))
        if members != {str(os.getpid())}:
            reasons.append(
                f"{own} holds {len(members) - 1} other processes, so it cannot be divided; {_DELEGATE}"
            )
            return False
        leaf = own / name_of("judge")
        leaf.mkdir(exist_ok=True)
        write(leaf / "cgroup.procs", "0")
        write(own / "cgroup.subtree_control", f"+{needed}")
    except OSError as error:
        reasons.append(f"{own} cannot be divided ({error.strerror}); {_DELEGATE}")
        return False
    return True


def _pidns() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def name_of(what: object) -> str:
    """A group's name: tells whose it is, so that a later judge can sweep up after a killed one."""
    return f"{_PREFIX}-{_pidns()}-{os.getpid()}-{what}"


def sweep(place: Place) -> None:
    """Remove empty groups of judges that are gone. Their sandboxes ended with them."""
    pattern = re.compile(rf"{_PREFIX}-{_pidns()}-(\d+)-\w+$")
    for parent in place.folders:
        for folder in parent.glob(f"{_PREFIX}-*"):
            match = pattern.match(folder.name)
            if match and not Path(f"/proc/{match[1]}").exists():
                with contextlib.suppress(OSError):  # not empty, or swept by another judge
                    folder.rmdir()
