"""The jail: all layers between student code and the host, in the order in which they must be put on.

::

    judge
    └── waiter      become_init: waits for the zygote and ends as it did
        └── zygote      pid 1 of a namespace of its own; build_root takes the host's file tree away
            └── sandbox     fork_in_new_pidns, then enter_child: pid 1 of its own namespace, all layers

When one of them dies, everything below it dies: a process namespace does not outlive its pid 1, and the
waiter and the zygote ask the kernel to be killed with their parents.

A chain is ``"privileged"`` (started by root: each sandbox gets a user id of its own) or ``"unprivileged"``
(any user: user namespaces; each sandbox gets a nested one so that its processes are counted separately).
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
from collections.abc import Collection
from dataclasses import dataclass, field

from autograder.errors import SandboxError, SandboxUnavailable
from autograder.limits import Limits
from autograder.sandbox import landlock, linux, root, seccomp
from autograder.sandbox.reserve import RESERVE_MB
from autograder.sandbox.root import RootSpec
from autograder.sandbox.support import Support, cure, id_extents, mapped_uid, support, support_for

__all__ = [
    "Layers",
    "RootSpec",
    "Support",
    "become_init",
    "build_root",
    "enter_child",
    "enter_unsafe",
    "fork_in_new_pidns",
    "mapped_uid",
    "support",
    "support_for",
]

ALL_LAYERS = (
    "pid", "mount", "net", "ipc", "uts", "root", "tmpfs", "proc", "fds", "rlimits", "nproc", "uid",
    "capabilities", "no_new_privs", "landlock", "landlock-net", "landlock-scope", "seccomp",
)  # fmt: skip
_STUDENT = 1000  # user and group of the student where a user namespace lets us choose
_DEVICE_FILES = ("/dev/null", "/dev/full", "/dev/zero")


@dataclass(frozen=True, slots=True)
class Layers:
    """Names (``pid``, ``net``, ``seccomp``…) of the layers that hold and that this machine cannot give."""

    active: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(slots=True)
class _Zygote:
    """What a zygote knows about itself; its children read it before they give up the descriptors."""

    chain: str
    pidns_fd: int
    proc_fd: int
    uids: tuple[tuple[int, int], ...]
    gids: tuple[tuple[int, int], ...]
    shown: root.Plan = field(default_factory=lambda: root.Plan((), (), ()))
    seccomp_filter: bytes = b""
    landlock_version: int = 0
    has_proc: bool = False

    @property
    def own_ids(self) -> bool:
        """Whether each sandbox gets a user and a group of its own."""
        return self.chain == "privileged"


_zygote: _Zygote | None = None


def _this_zygote() -> _Zygote:
    if _zygote is None:
        raise SandboxError("become_init has not been called in this process; call it first")
    return _zygote


# -- the zygote


def become_init(
    chain: Support, *, keep_fds: Collection[int] | None = None, parent: int | None = None
) -> None:
    """Go on as pid 1 of a new process namespace, in a child; the calling process becomes the waiter and never
    returns.

    Call it early, with one thread and little memory. ``keep_fds``: descriptors to keep beside 0, 1 and 2
    (None: all). ``parent``: expected process id of the judge, to notice that it died before this call. The
    kernel ends all when the *thread* of the judge that started this process ends: start it from a thread that
    lives as long.

    :raises SandboxUnavailable: ``chain`` is "none", or the kernel refuses it.
    """
    global _zygote
    if chain.chain == "none":
        raise SandboxUnavailable(chain.message())
    if keep_fds is not None:
        linux.close_fds({0, 1, 2, *keep_fds})
    try:
        proc_fd = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
        if chain.chain == "unprivileged":
            linux.new_user_namespace(0, proc_fd, linux.CLONE_NEWPID)
        else:
            linux.unshare(linux.CLONE_NEWPID)
        linux.set_parent_death_signal(signal.SIGKILL)
    except OSError as error:
        raise SandboxUnavailable(f"the sandbox could not be started ({error}). {cure()}") from error
    if parent is not None and os.getppid() != parent:
        os._exit(0)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        _wait_for(pid, writer)
    os.close(writer)
    linux.set_parent_death_signal(signal.SIGKILL)
    if select.select([reader], [], [], 0)[0]:  # end of file: the waiter died before the line above
        os._exit(0)
    os.close(reader)
    pidns_fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    _zygote = _Zygote(chain.chain, pidns_fd, proc_fd, id_extents("uid_map"), id_extents("gid_map"))


def _wait_for(pid: int, keep: int) -> None:
    """The waiter: end as process ``pid`` ends. ``keep``: the pipe's end that tells it of our death."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        linux.close_fds((keep,))
        os.chdir("/")
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            if -code not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        os._exit(code if code >= 0 else 128 - code)
    finally:
        os._exit(1)


def build_root(spec: RootSpec) -> None:
    """Take the host's file tree away from this zygote and its children (see :mod:`autograder.sandbox.root`).

    Prepares the system call filter too. Afterwards only modules below Python's own folders can still be
    imported.

    :raises SandboxError: a step failed, or the sandbox's user could not read this Python.
    """
    zygote = _this_zygote()
    import resource  # noqa: F401 - here once, so that no child has to search for it

    if zygote.own_ids:
        root.check_readable()
    with contextlib.suppress(SandboxUnavailable):  # named as a missing layer in every child
        zygote.seccomp_filter = seccomp.compile_filter(memfd=spec.devices)
    zygote.landlock_version = landlock.version()
    zygote.shown = root.plan(spec)
    zygote.has_proc = root.build(zygote.shown)


def fork_in_new_pidns() -> int:
    """Fork a child that is pid 1 of a new process namespace. Gives its pid here, 0 in the child, as
    ``os.fork``.

    :raises SandboxError: the kernel refused; no child was left behind.
    """
    zygote = _this_zygote()
    pid = -1
    try:
        linux.unshare(linux.CLONE_NEWPID)
        try:
            pid = os.fork()
        finally:
            if pid:  # without this the next unshare is refused
                linux.setns(zygote.pidns_fd, linux.CLONE_NEWPID)
    except OSError as error:
        if pid > 0:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        raise SandboxError(f"no process for a sandbox could be started: {error}") from error
    return pid


# -- the sandbox


def enter_child(chain: Support, limits: Limits, *, uid: int, keep_fds: Collection[int]) -> Layers:
    """Put all layers on this child of the zygote, for good; call it before any student code.

    ``uid``: a user id that no other sandbox has at this time (privileged chain; also the group id).
    ``keep_fds``: all other descriptors are closed, and 0, 1, 2 lead to ``/dev/null`` unless kept. Ends in
    ``/home/student``.

    :raises SandboxError: a layer that this machine has could not be put on. The child must then end.
    """
    zygote = _this_zygote()
    if chain.chain != zygote.chain:
        raise SandboxError(
            f"this zygote is {zygote.chain}, not {chain.chain}; start one with the other chain"
        )
    own_ids = zygote.own_ids
    user, group = (
        (mapped_uid(uid, zygote.uids), mapped_uid(uid, zygote.gids)) if own_ids else (_STUDENT, _STUDENT)
    )
    try:
        memory_mb = limits.memory_mb + _address_space_mb(zygote.proc_fd)
        _volunteer_for_the_oom_killer(zygote.proc_fd)
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
        linux.sethostname("sandbox")
        _mount_private_folders(zygote, limits, user, group)
        missing = [] if _mount_own_proc(zygote.has_proc) else ["proc"]
        if not own_ids:
            linux.new_user_namespace(_STUDENT, zygote.proc_fd)
            missing.append("uid")
        _detach(keep_fds)
        if not _set_rlimits(limits, memory_mb, count_processes=own_ids or _counts_in_user_namespaces()):
            missing.append("nproc")
        linux.drop_bounding_set()
        if own_ids:
            os.setgroups([])
            os.setresgid(group, group, group)
            os.setresuid(user, user, user)
        linux.drop_capabilities()
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        linux.set_parent_death_signal(signal.SIGKILL)
        os.chdir(root.HOME)
        missing += _restrict_calls(zygote)
    except OSError as error:
        raise SandboxError(f"a layer of the sandbox could not be put on: {error}") from error
    return Layers(tuple(name for name in ALL_LAYERS if name not in missing), tuple(missing))


def _address_space_mb(proc_fd: int) -> int:
    """Address space of this process now, in MiB: most of it is shared with the zygote."""
    with open(os.open("self/statm", os.O_RDONLY, dir_fd=proc_fd), encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE") >> 20


def _volunteer_for_the_oom_killer(proc_fd: int) -> None:
    """When the whole machine runs out of memory, a sandbox goes first."""
    with (
        contextlib.suppress(OSError),
        open(os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=proc_fd), "w") as file,
    ):
        file.write("1000")


def _mount_private_folders(zygote: _Zygote, limits: Limits, uid: int, gid: int) -> None:
    """One tmpfs behind /tmp, /home/student and /dev/shm, so that its limits hold for all three together."""
    safe = linux.MS_NOSUID | linux.MS_NODEV
    size = f"mode=0755,size={int(limits.tmp_mb * 1024)}k,nr_inodes={int(limits.tmp_inodes) + 8}"
    linux.mount("tmpfs", root.STAGE, "tmpfs", safe, size)
    for name, target, mode in (
        ("tmp", root.TMP, 0o1777),
        ("home", root.HOME, 0o700),
        ("shm", root.SHM, 0o1777),
    ):
        folder = f"{root.STAGE}/{name}"
        os.mkdir(folder)
        os.chmod(folder, mode)
        if zygote.own_ids:
            os.chown(folder, uid, gid)
        _keep_shown(zygote.shown, target, folder)
        linux.mount(folder, target, None, linux.MS_BIND | linux.MS_REC)
    if zygote.own_ids:
        with open(f"{root.STAGE}/passwd", "w", encoding="ascii") as file:
            file.write(root.passwd(uid, gid))
        linux.mount(f"{root.STAGE}/passwd", "/etc/passwd", None, linux.MS_BIND)
    linux.umount(root.STAGE)


def _keep_shown(shown: root.Plan, covered: str, folder: str) -> None:
    """Show in ``folder`` what lies below ``covered``: an environment in /tmp, or of a user named student."""
    binds, links = shown.below(covered)
    for path in binds:
        copy = folder + path.removeprefix(covered)
        root.place(copy, path)
        linux.mount(path, copy, None, linux.MS_BIND | linux.MS_REC)
    for path, target in links:
        copy = folder + path.removeprefix(covered)
        if not os.path.lexists(copy):
            os.makedirs(os.path.dirname(copy), 0o755, exist_ok=True)
            os.symlink(target, copy)


def _mount_own_proc(covers_another: bool) -> bool:
    """A /proc that shows this sandbox only; without permission an empty folder, never the zygote's."""
    strict = linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    try:
        linux.mount("proc", "/proc", "proc", strict)
    except OSError:
        if covers_another:
            linux.mount("tmpfs", "/proc", "tmpfs", strict, "size=4k,nr_inodes=1")
        return False
    return True


def _detach(keep_fds: Collection[int]) -> None:
    """A session of its own and no descriptor that was not meant for it."""
    linux.close_fds(keep_fds)
    for fd in (0, 1, 2):
        if fd not in keep_fds:
            null = os.open("/dev/null", os.O_RDWR)
            os.set_inheritable(null, True)
            if null != fd:
                raise SandboxError(f"descriptor {fd} could not be replaced: the lowest free one is {null}")
    os.setsid()
    os.umask(0o022)


def _counts_in_user_namespaces() -> bool:
    """Before Linux 5.14 a user's processes count together in all namespaces: with the whole desktop."""
    major, minor = re.findall(r"\d+", os.uname().release)[:2]
    return (int(major), int(minor)) >= (5, 14)


def _set_rlimits(limits: Limits, memory_mb: int, *, count_processes: bool) -> bool:
    """Set all limits; gives back ``count_processes``, whether the number of processes is one of them."""
    import resource as r

    mib, cpu_s, stack = 1 << 20, max(1, int(limits.cpu_s)), 8 << 20
    wanted = {
        "RLIMIT_AS": ((memory_mb - RESERVE_MB) * mib, memory_mb * mib),
        "RLIMIT_CORE": (1, 1),  # 0 would still start the host's core dump program, if it has one
        "RLIMIT_CPU": (cpu_s, cpu_s + 2),
        "RLIMIT_FSIZE": (int(limits.file_mb * mib),) * 2,
        "RLIMIT_MEMLOCK": (64 << 10, 64 << 10),
        "RLIMIT_MSGQUEUE": (0, 0),
        "RLIMIT_NICE": (0, 0),
        "RLIMIT_NOFILE": (int(limits.open_files),) * 2,
        "RLIMIT_RTPRIO": (0, 0),
        "RLIMIT_STACK": (stack, 8 * stack),
    }
    if count_processes:
        wanted["RLIMIT_NPROC"] = (int(limits.processes),) * 2
    for name, (soft, hard) in wanted.items():
        kind = getattr(r, name, None)
        if kind is None:  # not on this system
            continue
        highest = r.getrlimit(kind)[1]
        if highest != r.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        r.setrlimit(kind, (soft, hard))
    return count_processes


def _restrict_calls(zygote: _Zygote) -> list[str]:
    """no_new_privs, Landlock and, last, the system call filter; gives the layers that are missing."""
    linux.no_new_privs()
    files = [path for path in zygote.shown.devices if path in _DEVICE_FILES or path.startswith("/dev/nvidia")]
    _, missing = landlock.restrict((root.TMP, root.HOME, root.SHM), files, zygote.landlock_version)
    if not zygote.seccomp_filter:
        return [*missing, "seccomp"]
    seccomp.install(zygote.seccomp_filter)
    return list(missing)


def enter_unsafe(limits: Limits, *, keep_fds: Collection[int]) -> Layers:
    """For ``--unsafe-no-sandbox``: resource limits and closed descriptors only; keeps nobody out."""
    memory_mb = limits.memory_mb
    if sys.platform == "linux":
        proc_fd = os.open("/proc", os.O_PATH)
        memory_mb += _address_space_mb(proc_fd)
        _detach(keep_fds)
        # Processes are counted for each user, and this is the instructor's own: no limit on them.
        _set_rlimits(limits, memory_mb, count_processes=False)
    held = ("fds", "rlimits") if sys.platform == "linux" else ()
    return Layers(held, tuple(name for name in ALL_LAYERS if name not in held))
