"""Linux system calls by ctypes: the thin floor below the jail.

Every function raises :class:`OSError` with the kernel's errno and the name of the call. Nothing is
loaded at import time, so the module imports on macOS and Windows too. System calls go through the C
library's wrappers where it has them (same names on every architecture); the numbers used directly
are above 423 and hence the same on all architectures.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Collection
from functools import lru_cache

__all__ = [
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "MNT_DETACH",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_REMOUNT",
    "close_fds",
    "collapse_heap",
    "drop_bounding_set",
    "drop_capabilities",
    "mount",
    "new_user_namespace",
    "no_new_privs",
    "pivot_root",
    "prctl",
    "restrict_mount",
    "set_parent_death_signal",
    "set_seccomp_filter",
    "sethostname",
    "setns",
    "syscall",
    "threads",
    "umount",
    "unshare",
]

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_MS_NOATIME, _MS_NODIRATIME, _MS_RELATIME, _ST_RELATIME = 1024, 2048, 1 << 21, 4096

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
# noroot, no_setuid_fixup, no_cap_ambient_raise, each locked, and keep_caps locked at off
_SECUREBITS = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40 | 0x80

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_NR_CLOSE_RANGE = 436
_NR_MOUNT_SETATTR = 442
_MADV_HUGEPAGE, _MADV_COLLAPSE, _HUGE = 14, 25, 2 << 20


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _SockFprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


def _call(name: str, *args: object) -> int:
    ctypes.set_errno(0)
    result: int = getattr(_libc(), name)(*args)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def syscall(number: int, *args: object) -> int:
    """A system call by ``number``; integers are passed as C longs."""
    return _call("syscall", ctypes.c_long(number), *[_long(a) if isinstance(a, int) else a for a in args])


def _long(value: int) -> ctypes.c_long:
    return ctypes.c_long(value)


def _path(path: str | None) -> ctypes.c_char_p:
    return ctypes.c_char_p(None if path is None else os.fsencode(path))


def unshare(flags: int) -> None:
    """New namespaces for this process (``CLONE_NEW*``). ``os.unshare`` exists from Python 3.12 only."""
    _call("unshare", ctypes.c_int(flags))


def new_user_namespace(inside: int, proc_fd: int, more: int = 0) -> None:
    """A user namespace in which this process's user and group are number ``inside``, with all capabilities.

    ``proc_fd`` is a folder descriptor of a ``/proc``; ``more`` are further ``CLONE_NEW*`` made in the same
    call.
    """
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | more)
    for name, text in (
        ("setgroups", "deny"),  # else the group map is refused
        ("uid_map", f"{inside} {uid} 1"),
        ("gid_map", f"{inside} {gid} 1"),
    ):
        fd = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc_fd)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def setns(fd: int, kind: int) -> None:
    """Join the namespace behind ``fd``, which must be of type ``kind`` (``CLONE_NEW*``)."""
    _call("setns", ctypes.c_int(fd), ctypes.c_int(kind))


def mount(source: str | None, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """``mount(2)``; an error names the target."""
    try:
        _call("mount", _path(source), _path(target), _path(kind), ctypes.c_ulong(flags), _path(data))
    except OSError as error:
        raise OSError(error.errno, f"mount {kind or source or ''} on {target}: {error.strerror}") from None


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """``umount2(2)``, lazily by default."""
    _call("umount2", _path(target), ctypes.c_int(flags))


def pivot_root(new_root: str, put_old: str) -> None:
    """Make ``new_root`` (a mount point) the root and move the old one to ``put_old`` below it."""
    _call("pivot_root", _path(new_root), _path(put_old))


def restrict_mount(
    path: str, *, recursive: bool = False, flags: int = MS_RDONLY | MS_NOSUID | MS_NODEV
) -> None:
    """Add ``flags`` (``MS_RDONLY|NOSUID|NODEV|NOEXEC``) to the mount at ``path`` and keep those it has.

    ``recursive`` includes every mount below. Uses ``mount_setattr`` (Linux 5.12), else one remount for each
    mount.
    """
    attributes = _MountAttr(attr_set=flags & 15)  # the four MOUNT_ATTR_ bits equal the MS_ bits
    try:
        syscall(
            _NR_MOUNT_SETATTR,
            _AT_FDCWD,
            _path(path),
            _AT_RECURSIVE if recursive else 0,
            ctypes.byref(attributes),
            ctypes.sizeof(attributes),
        )
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        for target in _mounts_below(path) if recursive else [path]:
            mount(None, target, None, MS_BIND | MS_REMOUNT | flags | _present_flags(target))


def _present_flags(path: str) -> int:
    """Flags of the mount at ``path``: in a user namespace those it was inherited with must stay."""
    present = os.statvfs(path).f_flag
    kept = present & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | _MS_NOATIME | _MS_NODIRATIME)
    return kept | (_MS_RELATIME if present & _ST_RELATIME else 0)


def _mounts_below(path: str) -> list[str]:
    with open("/proc/self/mountinfo", "rb") as lines:  # white space in names is written as \040
        points = [
            re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), line.split()[4]) for line in lines
        ]
    found = {os.fsdecode(point) for point in points}
    return [path, *sorted(point for point in found if point.startswith(path.rstrip("/") + "/"))]


def prctl(option: int, *args: int) -> int:
    """``prctl(2)`` with all five arguments as unsigned longs."""
    padded = [ctypes.c_ulong(value) for value in (*args, 0, 0, 0, 0)[:4]]
    return _call("prctl", ctypes.c_int(option), *padded)


def set_parent_death_signal(signal_number: int) -> None:
    """Send ``signal_number`` to this process when the thread that forked it ends.

    The kernel forgets this at every change of uid, gid or capabilities and after a fork: set it last.
    """
    prctl(PR_SET_PDEATHSIG, signal_number)


def no_new_privs() -> None:
    """Set-uid programs and file capabilities have no effect from here on, for good."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def set_seccomp_filter(program: bytes) -> None:
    """Install BPF ``program`` (8 bytes an instruction) for this process and its descendants, for good."""
    holder = _SockFprog(len(program) // 8, program)
    _call(
        "prctl",
        ctypes.c_int(PR_SET_SECCOMP),
        ctypes.c_ulong(2),  # SECCOMP_MODE_FILTER
        ctypes.byref(holder),
        ctypes.c_ulong(0),
        ctypes.c_ulong(0),
    )


def sethostname(name: str) -> None:
    """Host name of this UTS namespace."""
    raw = os.fsencode(name)
    _call("sethostname", ctypes.c_char_p(raw), ctypes.c_size_t(len(raw)))


def drop_bounding_set() -> None:
    """Empty the bounding and ambient sets and lock the secure bits; needs ``CAP_SETPCAP``."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: past the last capability of this kernel
                raise
            break
    prctl(PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    prctl(PR_SET_SECUREBITS, _SECUREBITS)


def drop_capabilities() -> None:
    """Give up all capabilities: effective, permitted and inheritable."""
    header = _CapHeader(0x2008_0522, 0)
    _call("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def close_fds(keep: Collection[int]) -> None:
    """Close every file descriptor but those in ``keep``."""
    start = 0
    for fd in sorted(set(keep)):
        if fd > start:
            _close_range(start, fd - 1)
        start = fd + 1
    _close_range(start, 0x7FFF_FFFF)


def _close_range(first: int, last: int) -> None:
    try:
        syscall(_NR_CLOSE_RANGE, first, last, 0)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        os.closerange(first, min(last, os.sysconf("SC_OPEN_MAX")) + 1)


def threads() -> int:
    """Number of threads of this process."""
    return len(os.listdir("/proc/self/task"))


def collapse_heap() -> int:
    """Put this process's anonymous memory into 2 MiB pages, so that a fork copies fewer page table entries.

    Returns MiB collapsed; 0 where the kernel cannot (before 6.1, or huge pages are off).
    """
    collapsed = 0
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    for line in lines:
        addresses, access, _, _, inode, *name = line.split(maxsplit=5)
        if not access.startswith("rw-p") or inode != "0" or (name and name[0].startswith("[stack")):
            continue
        low, high = (int(part, 16) for part in addresses.split("-"))
        first, last = -(-low // _HUGE) * _HUGE, high // _HUGE * _HUGE
        if last > first and _advise(first, last - first, _MADV_HUGEPAGE):
            # one call for each huge page: a page without memory behind it fails and must not end the run
            collapsed += sum(_advise(at, _HUGE, _MADV_COLLAPSE) for at in range(first, last, _HUGE))
    return collapsed * (_HUGE >> 20)


def _advise(start: int, length: int, advice: int) -> bool:
    try:
        _call("madvise", ctypes.c_void_p(start), ctypes.c_size_t(length), ctypes.c_int(advice))
    except OSError:
        return False
    return True
