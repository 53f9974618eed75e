"""Landlock: a rule set by which a process takes access rights from itself, for good (Linux 5.13).

Numbers and structures: ``linux/landlock.h``. Rights that this kernel's version of the interface does
not know are left out; :func:`restrict` says which parts hold.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from autograder.sandbox import linux

__all__ = ["restrict", "version"]

_NR_CREATE_RULESET, _NR_ADD_RULE, _NR_RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ALL_V1 = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_MAKE_DEVICES = 1 << 6 | 1 << 11
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_NET_BIND_AND_CONNECT = 1 | 2
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 1 | 2


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def version() -> int:
    """Version of the interface in this kernel, 0 without Landlock."""
    try:
        return linux.syscall(_NR_CREATE_RULESET, None, 0, 1)
    except OSError:
        return 0


def restrict(
    writable: Iterable[str], files: Iterable[str], abi: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Leave this process: reading and executing everywhere, writing below ``writable`` and to ``files``.

    No TCP (``abi`` ≥ 4), no signals to and no abstract sockets of processes outside (``abi`` ≥ 6). Needs
    no_new_privs. Gives the names of the layers that hold and of those that this kernel lacks.
    """
    names = ("landlock", "landlock-net", "landlock-scope")
    held = 0 if abi < 1 else 1 if abi < 4 else 2 if abi < 6 else 3
    if not held:
        return (), names
    handled = (
        _ALL_V1
        | (_REFER if abi >= 2 else 0)
        | (_TRUNCATE if abi >= 3 else 0)
        | (_IOCTL_DEV if abi >= 5 else 0)
    )
    attributes = _RulesetAttr(
        handled,
        _NET_BIND_AND_CONNECT if held >= 2 else 0,
        _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if held >= 3 else 0,
    )
    ruleset = linux.syscall(_NR_CREATE_RULESET, ctypes.byref(attributes), 8 * held, 0)
    try:
        _allow(ruleset, "/", _READ)
        for path in writable:
            _allow(ruleset, path, handled & ~_MAKE_DEVICES)
        for path in files:
            _allow(ruleset, path, handled & _OF_A_FILE)
        linux.syscall(_NR_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return names[:held], names[held:]


def _allow(ruleset: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneath(rights, fd)
        linux.syscall(_NR_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(fd)
