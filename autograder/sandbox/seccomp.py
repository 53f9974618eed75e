"""The system call filter of a sandbox: everything is allowed but a list.

Compiled once by libseccomp (through pyseccomp), kept as BPF bytes, installed in each sandbox by one
``prctl``. The list holds what a program that computes has no use for and what has broken kernels or
namespaces before. Refused calls fail with ``EPERM``; calls newer than this list and ``clone3`` with
``ENOSYS``, so that the C library falls back. Calls of another architecture (32 bit, x32) kill the process.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from functools import lru_cache
from types import ModuleType

from autograder.errors import SandboxUnavailable
from autograder.sandbox import linux

__all__ = ["DENIED", "available", "compile_filter", "install"]

_MOUNTS = (
    "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr "
    "pivot_root umount umount2 statmount listmount"
)
_NAMESPACES = "setns unshare sethostname setdomainname"
_OTHER_PROCESSES = (
    "kcmp pidfd_getfd process_madvise process_mrelease process_vm_readv process_vm_writev ptrace "
    "migrate_pages move_pages sched_setattr sched_setparam sched_setscheduler"
)
_KERNEL = (
    "acct add_key adjtimex bpf clock_adjtime clock_settime create_module delete_module fanotify_init "
    "fanotify_mark finit_module get_kernel_syms init_module io_uring_enter io_uring_register io_uring_setup "
    "ioperm iopl kexec_file_load kexec_load keyctl lookup_dcookie modify_ldt name_to_handle_at nfsservctl "
    "open_by_handle_at perf_event_open query_module quotactl quotactl_fd reboot request_key settimeofday "
    "stime swapoff swapon syslog _sysctl sysfs uselib userfaultfd ustat vhangup vm86 vm86old"
)
# Memory that neither RLIMIT_AS nor the size of a sandbox's tmpfs bounds.
_UNBOUNDED_MEMORY = "memfd_secret msgget semget shmget"

DENIED: tuple[str, ...] = tuple(
    sorted(" ".join((_MOUNTS, _NAMESPACES, _OTHER_PROCESSES, _KERNEL, _UNBOUNDED_MEMORY)).split())
)
"""Names of the calls that are refused whatever their arguments are."""

_RECENT = {  # numbers that are the same on every architecture, for libseccomp releases that lack the name
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "clone3": 435, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443,
    "memfd_secret": 447, "process_mrelease": 448, "statmount": 457, "listmount": 458, "open_tree_attr": 467,
}  # fmt: skip
_LAST_KNOWN = 469
"""Last call that was looked at for this list; the kernel's later ones do not exist in a sandbox."""

_CLONE_FLAGS = (0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_SHARED_ANONYMOUS = 0x01 | 0x20
_LOW_32 = 0xFFFF_FFFF
_LAST_PROTOCOL = socket.IPPROTO_UDP  # ICMP 1, TCP 6, UDP 17; not SCTP, DCCP, MPTCP


def available() -> str | None:
    """Why no filter can be compiled here, with the cure; None when one can."""
    try:
        _pyseccomp()
    except SandboxUnavailable as error:
        return str(error)
    return None


def _pyseccomp() -> ModuleType:
    try:
        import pyseccomp
    except ImportError:
        raise SandboxUnavailable("pyseccomp is not installed: pip install pyseccomp") from None
    except (RuntimeError, OSError, AttributeError) as error:
        raise SandboxUnavailable(
            f"pyseccomp cannot load libseccomp ({error}): install it, for example apt install libseccomp2"
        ) from None
    module: ModuleType = pyseccomp
    return module


@lru_cache(maxsize=2)
def compile_filter(*, memfd: bool = False) -> bytes:
    """The filter as BPF instructions for :func:`install`.

    ``memfd`` allows ``memfd_create``, whose memory is bounded by a cgroup only (GPU drivers want it). Raises
    :class:`SandboxUnavailable` where libseccomp is missing. Imports pyseccomp: call it before the jail is
    built.
    """
    lib = _pyseccomp()
    arg, refuse = lib.Arg, lib.ERRNO(errno.EPERM)
    rules = lib.SyscallFilter(lib.ALLOW)
    rules.set_attr(lib.Attr.ACT_BADARCH, lib.KILL_PROCESS)

    def deny(name: str, *conditions: object, action: int = refuse) -> None:
        number = lib.resolve_syscall(lib.Arch.NATIVE, name)
        if number < 0:  # unknown to this libseccomp, or not a call of this architecture
            number = _RECENT.get(name, -1)
        if number >= 0:
            rules.add_rule(action, number, *conditions)

    for name in DENIED:
        deny(name)
    if not memfd:
        deny("memfd_create")
    # Sessions are the groups among which the kernel shares processors, and a sandbox is one. The call seems
    # to succeed, for programs that start others in a session of their own and expect no more of it.
    deny("setsid", action=lib.ERRNO(0))
    deny("clone3", action=lib.ERRNO(errno.ENOSYS))  # its flags lie in memory, where a filter cannot look
    for flag in _CLONE_FLAGS:
        deny("clone", arg(0, lib.MASKED_EQ, flag, flag))
    # The kernel reads 32 bits of these arguments, a filter 64: compare so that high bits do not get past.
    for family in range(socket.AF_INET6 + 1):
        if family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
            deny("socket", arg(0, lib.EQ, family))
        if family != socket.AF_UNIX:
            deny("socketpair", arg(0, lib.EQ, family))
    deny("socket", arg(0, lib.GT, socket.AF_INET6))
    deny("socket", arg(2, lib.GT, _LAST_PROTOCOL))
    deny("socketpair", arg(0, lib.GT, socket.AF_INET6))
    for request in (_TIOCSTI, _TIOCLINUX):
        deny("ioctl", arg(1, lib.MASKED_EQ, _LOW_32, request))
    # Shared anonymous memory outlives its mappings, so that nobody seems to hold it; files in /dev/shm do
    # not.
    deny("mmap", arg(3, lib.MASKED_EQ, _SHARED_ANONYMOUS, _SHARED_ANONYMOUS))
    deny("personality", arg(0, lib.NE, _LOW_32))  # the query only
    for device in (stat.S_IFCHR, stat.S_IFBLK):
        deny("mknod", arg(1, lib.MASKED_EQ, 0o170000, device))
        deny("mknodat", arg(2, lib.MASKED_EQ, 0o170000, device))
    return _refuse_later_calls(lib) + _export(rules)


def _export(rules: object) -> bytes:
    # A filter is far smaller than a pipe's buffer, so writing it cannot block.
    reader, writer = os.pipe()
    with open(reader, "rb") as source:
        with open(writer, "wb") as sink:
            rules.export_bpf(sink)  # type: ignore[attr-defined]
        return source.read()


def _refuse_later_calls(lib: ModuleType) -> bytes:
    """BPF that is put before libseccomp's: calls after ``_LAST_KNOWN`` (and below x32's) give ENOSYS."""
    load, above, at_least, give = 0x20, 0x25, 0x35, 0x06
    program = (
        (load, 0, 0, 0),  # number of the call
        (at_least, 2, 0, 0x4000_0000),  # x32: left to the check of the architecture
        (above, 0, 1, _LAST_KNOWN),
        (give, 0, 0, lib.ERRNO(errno.ENOSYS)),
    )
    return b"".join(struct.pack("=HBBI", *step) for step in program)


def install(program: bytes) -> None:
    """Put this process and all it starts under ``program``, for good. Needs no_new_privs."""
    linux.set_seccomp_filter(program)
