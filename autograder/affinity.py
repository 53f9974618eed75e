"""A judge and its sandbox on one processor, for as long as a submission takes.

They take turns, so a second processor gains nothing; but each question and each answer would wake it, and
each page that a copy of the sandbox writes to would have to be forgotten by both, which a virtual machine
pays dearly for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
from collections.abc import Iterator

__all__ = ["one_processor", "own_processors"]


@contextlib.contextmanager
def one_processor() -> Iterator[int | None]:
    """Keep this process, in the body, on a processor that no other judge of this machine has; gives its
    number, or None where all are taken or the system cannot do it."""
    allowed = own_processors()
    with _claimed(allowed) as cpu:
        moved = cpu is not None and _move(frozenset({cpu}))
        try:
            yield cpu if moved else None
        finally:
            if moved:
                _move(allowed)


def own_processors() -> frozenset[int]:
    """Those that this process may use; empty where the system does not tell."""
    try:
        return frozenset(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return frozenset()


def _move(cpus: frozenset[int]) -> bool:
    try:
        os.sched_setaffinity(0, cpus)
    except OSError:  # taken away meanwhile
        return False
    return True


@contextlib.contextmanager
def _claimed(cpus: frozenset[int]) -> Iterator[int | None]:
    """One of ``cpus``, for the body. The claim is a name that the kernel gives to one socket at a time, and
    takes back however its owner ends; whoever gets none shares, so a wrong claim costs time only."""
    if len(cpus) < 2 or sys.platform != "linux":
        yield None
        return
    here = int(ctypes.CDLL(None).sched_getcpu())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
        for cpu in sorted(cpus, key=lambda cpu: cpu != here):  # where it runs now, if it can stay
            if _bound(claim, f"\0autograder-judge-{cpu}"):
                yield cpu
                return
        yield None


def _bound(claim: socket.socket, name: str) -> bool:
    try:
        claim.bind(name)
    except OSError:
        return False
    return True
