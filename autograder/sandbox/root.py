"""The file tree of a sandbox: a fresh root with read-only binds of what Python needs, and nothing else.

:func:`plan` decides from the host's tree what is shown, without changing anything; :func:`build` does it in a
new mount namespace and lets go of the host's tree.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import site
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from autograder.errors import SandboxError
from autograder.sandbox import linux

__all__ = [
    "HOME",
    "SHM",
    "STAGE",
    "TMP",
    "Plan",
    "RootSpec",
    "build",
    "check_readable",
    "passwd",
    "place",
    "plan",
    "trace",
]

HOME, TMP, SHM = "/home/student", "/tmp", "/dev/shm"
STAGE = "/.private"
"""Where a sandbox prepares its own folders before they are put over the three above."""

_HOST = "/.host"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
# Of a Python installation or environment: never the whole folder, which may be a home or a repository.
_PYTHON = (
    "bin", "etc", "fonts", "include", "lib", "lib32", "lib64", "libexec", "nvvm", "pyvenv.cfg", "sbin",
    "share", "ssl", "targets",
)  # fmt: skip
_ETC = ("alternatives", "fonts", "ld.so.cache", "localtime", "mime.types", "python3*")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
_ETC_FILES = {
    "group": "root:x:0:\nstudent:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "hostname": "sandbox\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


@dataclass(frozen=True, slots=True)
class RootSpec:
    """What a sandbox sees beside Python itself.

    ``binds`` are further host paths to show read-only, ``hide`` are paths that must not be seen even where
    they lie below something shown, ``devices`` shows the NVIDIA devices.
    """

    binds: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    devices: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What :func:`build` does, in order. All paths are absolute and the same inside and outside."""

    steps: tuple[tuple[str, str], ...]
    """``("bind", path)`` and ``("mask", path)``, parents first; no path has a symbolic link in it."""
    links: tuple[tuple[str, str], ...]
    """``(path, target)`` of the symbolic links that lead to the binds."""
    devices: tuple[str, ...]
    """Device files to bind."""

    def below(self, folder: str) -> tuple[list[str], list[tuple[str, str]]]:
        """Outermost binds and links below ``folder``, which a mount over ``folder`` would cover."""
        inside = [path for action, path in self.steps if action == "bind" and path.startswith(folder + "/")]
        outermost = [path for path in inside if not any(path.startswith(other + "/") for other in inside)]
        return outermost, [link for link in self.links if link[0].startswith(folder + "/")]


def passwd(uid: int, gid: int) -> str:
    """Contents of ``/etc/passwd`` with the student's ids."""
    return (
        f"root:x:0:0:root:/root:/usr/sbin/nologin\nstudent:x:{uid}:{gid}:student:{HOME}:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )


def trace(path: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The real path of ``path``, and the symbolic links on the way with the folders before them resolved."""
    links: dict[str, str] = {}
    followed = 0
    real, rest = "/", [part for part in os.path.abspath(path).split("/") if part]
    while rest:
        part = rest.pop(0)
        if part == "..":
            real = os.path.dirname(real)
            continue
        here = os.path.join(real, part)
        if os.path.islink(here):
            followed += 1
            if followed > 40:  # as the kernel
                raise SandboxError(f"{path} runs in a circle of symbolic links; repair it or leave it out")
            links[here] = target = os.readlink(here)
            rest = [piece for piece in target.split("/") if piece not in ("", ".")] + rest
            real = "/" if target.startswith("/") else real
        else:
            real = here
    return real, tuple(links.items())


def _python_paths() -> list[str]:
    """Folders of this interpreter, of its environment and of its packages, and the interpreter itself."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    paths = [os.path.join(prefix, name) for prefix in sorted(prefixes) for name in _PYTHON]
    packages = [*site.getsitepackages(), site.getusersitepackages()]
    paths += [folder for folder in packages if folder in sys.path]
    return [*paths, sys.executable, getattr(sys, "_base_executable", sys.executable)]


def _covering(path: str, steps: Iterable[tuple[str, str]]) -> str | None:
    """What the nearest step at or above ``path`` does: "bind", "mask" or None."""
    nearest: tuple[int, str] | None = None
    for action, top in steps:
        inside = path == top or path.startswith(top.rstrip("/") + "/")
        if inside and (nearest is None or len(top) > nearest[0]):
            nearest = (len(top), action)
    return nearest[1] if nearest else None


def plan(spec: RootSpec) -> Plan:
    """What to show of the host's tree as it is now; reads only."""
    wanted = [*_SYSTEM, *_python_paths(), *spec.binds]
    for name in _ETC:
        wanted += sorted(glob.glob(f"/etc/{name}"))
    links: dict[str, str] = {}
    actions: dict[str, str] = {}
    for path in wanted:
        real, found = trace(path)
        if os.path.exists(real) and real != "/":
            links.update(found)
            actions[real] = "bind"
        elif path in spec.binds:
            problem = "is the root folder" if real == "/" else "does not exist"
            raise SandboxError(
                f"{path} is to be shown in the sandbox but {problem}; name an existing folder or file"
            )
    for path in spec.hide:
        real = os.path.realpath(path)
        if os.path.exists(real):
            actions[real] = "mask"
    steps: list[tuple[str, str]] = []
    for path in sorted(actions, key=lambda name: (name.count("/"), name)):
        # A bind inside a bind and a mask outside all binds change nothing.
        present = _covering(path, steps)
        if (actions[path] == "bind") is (present != "bind"):
            steps.append((actions[path], path))
    devices = [f"/dev/{name}" for name in _DEVICES]
    if spec.devices:
        devices += sorted(glob.glob("/dev/nvidia*"))
    return Plan(
        tuple(steps), tuple(sorted(links.items())), tuple(path for path in devices if os.path.exists(path))
    )


def check_readable() -> None:
    """Raise :class:`SandboxError` where other users cannot read this Python, as a sandbox's own user must."""
    for folder in (os.path.dirname(os.__file__), *site.getsitepackages()):
        if os.path.isdir(folder) and stat.S_IMODE(os.stat(folder).st_mode) & 0o005 != 0o005:
            raise SandboxError(f"{folder} is not readable for the sandbox's user; run chmod -R o+rX {folder}")


def build(todo: Plan) -> bool:
    """Enter a new mount namespace whose root shows ``todo`` and nothing else; the host's tree is gone.

    Gives False where the kernel refused a new ``/proc``. Raises :class:`SandboxError` naming the failed step.
    """
    try:
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
        os.umask(0o022)
        base = next(folder for folder in ("/tmp", "/var", "/usr") if os.path.isdir(folder))
        flags = linux.MS_NOSUID | linux.MS_NODEV
        linux.mount("tmpfs", base, "tmpfs", flags, "mode=0755,size=4m,nr_inodes=4096")
        os.chdir(base)
        os.mkdir(base + _HOST)
        linux.pivot_root(base, base + _HOST)
        os.chdir("/")
        has_proc = _mount_proc()
        masks = _show(todo)
        _fill(todo)
        for path in masks:
            linux.restrict_mount(path)
        linux.umount(_HOST)
        with contextlib.suppress(OSError):
            os.rmdir(_HOST)
        linux.restrict_mount("/")
    except OSError as error:
        raise SandboxError(f"the file tree of the sandbox could not be built: {error}") from error
    return has_proc


def _mount_proc() -> bool:
    os.mkdir("/proc", 0o755)
    try:
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES):
            raise
        return False  # a container that masks parts of its own /proc allows no other one to its users
    return True


def _bind(source: str, target: str, flags: int = linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV) -> None:
    linux.mount(source, target, None, linux.MS_BIND | linux.MS_REC)
    linux.restrict_mount(target, recursive=True, flags=flags)


def place(path: str, like: str) -> None:
    """A mount point at ``path``: a folder or an empty file, as ``like`` is."""
    if os.path.isdir(like):
        os.makedirs(path, 0o755, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444))


def _show(todo: Plan) -> list[str]:
    """Do the steps; gives the masks, which stay writable for the mount points of binds below them."""
    masks = []
    done: list[tuple[str, str]] = []
    for action, path in todo.steps:
        if action == "bind":
            if _covering(path, done) != "bind":
                place(path, _HOST + path)
            _bind(_HOST + path, path)
        elif os.path.isdir(path):
            linux.mount(
                "tmpfs", path, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0755,size=64k,nr_inodes=256"
            )
            masks.append(path)
        else:
            _bind(_HOST + "/dev/null", path, linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NOEXEC)
        done.append((action, path))
    for path, target in todo.links:
        if _covering(path, todo.steps) != "bind":
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.symlink(target, path)
    return masks


def _fill(todo: Plan) -> None:
    """Devices, mount points and the few files of ``/etc``."""
    for path in (HOME, TMP, SHM, STAGE, "/etc", "/var"):
        os.makedirs(path, 0o755, exist_ok=True)
    for path in todo.devices:
        place(path, _HOST + path)
        # Both give zeros, but only /dev/zero can be mapped: memory that no limit of a sandbox counts.
        real = "/dev/full" if path == "/dev/zero" and "/dev/full" in todo.devices else path
        _bind(_HOST + real, path, linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NOEXEC)
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"/dev/{name}")
    os.symlink(TMP, "/var/tmp")
    for name, text in {**_ETC_FILES, "passwd": passwd(1000, 1000)}.items():
        with open(f"/etc/{name}", "w", encoding="ascii") as file:
            file.write(text)
