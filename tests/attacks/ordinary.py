"""Go on as an ordinary user, with this Python and this repository still readable.

Both may lie below a folder that is closed to others, ``/root`` for one. In a mount namespace of its own the
process then puts an empty folder over the closed one and shows in it only what it needs.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

from autograder.sandbox import linux

__all__ = ["become"]

_REPOSITORY = Path(__file__).resolve().parents[2]


def become(uid: int) -> None:
    """Give up root: replaces this process by the same command, run as user and group ``uid``.

    :raises PermissionError: this process is not root's.
    """
    arguments = [word for word in _without_option(sys.argv[1:])]
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    for folder in {sys.base_prefix, sys.prefix, str(_REPOSITORY)}:
        _open_up(Path(folder))
    home = tempfile.mkdtemp(prefix="autograder-home-")
    os.chown(home, uid, uid)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.environ.update(HOME=home, PYTHONDONTWRITEBYTECODE="1")
    os.chdir(_REPOSITORY)
    os.execv(sys.executable, [sys.executable, "-m", "tests.attacks", *arguments])


def _without_option(arguments: list[str]) -> list[str]:
    at = arguments.index("--as-user")
    return arguments[:at] + arguments[at + 2 :]


def _open_up(folder: Path) -> None:
    """Make ``folder`` reachable for everyone in this mount namespace."""
    closed = [part for part in folder.parents if not os.stat(part).st_mode & stat.S_IXOTH]
    if not closed:
        return
    outermost = closed[-1]
    stage = tempfile.mkdtemp(prefix="autograder-stage-")
    linux.mount(str(folder), stage, None, linux.MS_BIND | linux.MS_REC)
    linux.mount("tmpfs", str(outermost), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0755,size=64k")
    folder.mkdir(parents=True)
    linux.mount(stage, str(folder), None, linux.MS_BIND | linux.MS_REC)
