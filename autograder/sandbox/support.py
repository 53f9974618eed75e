"""Can this machine build a sandbox, how, and if not, what would change that.

:func:`support` tries the real calls in a process of its own, because no setting tells reliably: containers,
security modules and sysctls each forbid some of them.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from autograder.errors import SandboxUnavailable
from autograder.sandbox import landlock, linux, seccomp

__all__ = ["Chain", "Support", "cure", "id_extents", "mapped_uid", "support", "support_for"]

Chain = Literal["privileged", "unprivileged", "none"]
_PROBE_WALL_S = 10.0
_OTHERWISE = "Or run with --unsafe-no-sandbox if you trust the code: every report will say so."


@dataclass(frozen=True, slots=True)
class Support:
    """``chain``: how the namespaces are made: by root (``"privileged"``), in user namespaces
    (``"unprivileged"``), not at all.

    ``reasons``: what failed on the way; ``cure``: what to do about it, empty where nothing is to do;
    ``missing``: layers that sandboxes on this machine will lack.
    """

    chain: Chain
    reasons: tuple[str, ...] = ()
    cure: str = ""
    missing: tuple[str, ...] = ()

    def message(self) -> str:
        """One message for a person: what does not work and what to do."""
        if self.chain != "none":
            lacking = f", without {', '.join(self.missing)}" if self.missing else ""
            return f"Sandboxes work here ({self.chain}{lacking})." + (f" {self.cure}" if self.cure else "")
        return f"This machine cannot build a sandbox: {'; '.join(self.reasons)}. {self.cure}"


def support_for(chain: str) -> Support:
    """The :class:`Support` of a chain that was found by another process; nothing is tried."""
    chains: dict[str, Chain] = {"privileged": "privileged", "unprivileged": "unprivileged"}
    return Support(chains.get(chain, "none"))


@lru_cache(maxsize=1)
def support() -> Support:
    """Try what works on this machine, once per process (about 10 ms)."""
    if sys.platform != "linux":
        return Support(
            "none",
            (f"{sys.platform} has no Linux namespaces",),
            f"Use Linux, WSL 2 or a container. {_OTHERWISE}",
        )
    reasons: list[str] = []
    chains: list[Chain] = ["privileged", "unprivileged"] if os.geteuid() == 0 else ["unprivileged"]
    for chain in chains:
        missing, problem = _try_in_child(chain)
        if problem is None:
            return _found(chain, reasons, missing)
        reasons.append(problem)
    return Support("none", tuple(reasons), f"{cure()} {_OTHERWISE}")


def _found(chain: Chain, reasons: list[str], missing: list[str]) -> Support:
    cures = []
    no_filter = seccomp.available()
    if no_filter:
        missing.append("seccomp")
        cures.append(no_filter)
    abi = landlock.version()
    lacking = [
        name for name, needed in (("landlock", 1), ("landlock-net", 4), ("landlock-scope", 6)) if abi < needed
    ]
    if chain == "unprivileged":
        missing.append("uid")
    return Support(chain, tuple(reasons), "; ".join(cures), tuple(missing + lacking))


def id_extents(name: str) -> tuple[tuple[int, int], ...]:
    """``(first, count)`` of the ids of this user namespace; ``name``: ``uid_map`` or ``gid_map``."""
    with open(f"/proc/self/{name}", encoding="ascii") as lines:
        return tuple((int(first), int(count)) for first, _, count in (line.split() for line in lines))


def mapped_uid(wanted: int, extents: Collection[tuple[int, int]]) -> int:
    """``wanted``, or one of 8192 high ids where this user namespace lacks it (a rootless container)."""
    if any(first <= wanted < first + count for first, count in extents):
        return wanted
    first, count = max(extents, key=lambda extent: extent[1], default=(0, 0))
    if count < 16384:
        raise SandboxUnavailable(
            f"this container has {count} user ids, too few to give sandboxes their own; "
            "run as an ordinary user or give it 65536"
        )
    return first + count - 2048 - wanted % 8192  # not the last ones: 65534 is nobody


def _try_in_child(chain: Chain) -> tuple[list[str], str | None]:
    """The layers that ``chain`` would lack here, and why it does not work at all (None: it works)."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Other threads cannot hurt: the child only makes system calls and ends.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            os.write(writer, json.dumps(_try(chain)).encode())
        except BaseException as error:
            os.write(writer, json.dumps([[], f"{chain}: {error}"]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        ready, _, _ = select.select([answer], [], [], _PROBE_WALL_S)
        data = answer.read() if ready else b""
        if not ready:
            os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if not data:
        return [], f"{chain}: the attempt gave no answer"
    missing, problem = json.loads(data)
    return missing, problem


def _try(chain: Chain) -> tuple[list[str], str | None]:
    """In a throw-away process: the calls of the jail, on empty folders. Leaves nothing behind."""
    proc_fd = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
    pidns_fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    step = "a user namespace"
    try:
        if chain == "unprivileged":
            linux.new_user_namespace(0, proc_fd)
        else:
            step = "a user id for each sandbox"
            for name in ("uid_map", "gid_map"):
                mapped_uid(1 << 32, id_extents(name))  # an id that is never mapped
        step = "a process namespace"
        linux.unshare(linux.CLONE_NEWPID)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, json.dumps(_try_inside(chain, proc_fd)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as answer:
            data = answer.read()
        os.waitpid(pid, 0)
        if (
            chain == "privileged"
        ):  # unprivileged: /proc/self/ns/pid belongs to the parent's user namespace here
            step = "returning to the first process namespace"
            linux.setns(pidns_fd, linux.CLONE_NEWPID)
    except (OSError, SandboxUnavailable) as error:
        return [], f"{chain}: {step} is refused ({error})"
    missing, problem = json.loads(data) if data else ([], f"{chain}: the attempt ended without an answer")
    return missing, problem


def _try_inside(chain: Chain, proc_fd: int) -> tuple[list[str], str | None]:
    missing = []
    step = "mount, network, ipc and host name namespaces"
    try:
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
        step = "a private mount tree"
        linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
        base = tempfile.gettempdir()
        linux.mount("tmpfs", base, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=64k")
        for name in ("usr", "proc", "host"):
            os.mkdir(f"{base}/{name}")
        step = "a read-only bind mount"
        linux.mount("/usr", f"{base}/usr", None, linux.MS_BIND | linux.MS_REC)
        linux.restrict_mount(f"{base}/usr", recursive=True)
        try:
            linux.mount("proc", f"{base}/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        except OSError:
            missing.append("proc")
        step = "another root folder"
        os.chdir(base)
        linux.pivot_root(base, f"{base}/host")
        linux.umount("/host")
        if chain == "unprivileged":
            step = "a nested user namespace"
            linux.new_user_namespace(1000, proc_fd)
    except OSError as error:
        return missing, f"{chain}: {step} is refused ({error})"
    return missing, None


def cure() -> str:
    """What most likely has to change on this machine, with the command where there is one."""
    cures = []
    for path, forbids, command in (
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ):
        if _read(path) == forbids:
            cures.append(f"As root, run: {command}.")
    if _in_container():
        cures.append(
            "Start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
            "--cap-add SYS_ADMIN."
        )
    return " ".join(cures) or "Allow user namespaces for this user, or run as root."


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _in_container() -> bool:
    if any(os.path.exists(mark) for mark in ("/.dockerenv", "/run/.containerenv")):
        return True
    return any(
        word in _read("/proc/1/cgroup") for word in ("docker", "kubepods", "containerd", "libpod", "lxc")
    )
