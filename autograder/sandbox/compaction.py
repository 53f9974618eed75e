"""The zygote's memory, arranged so that its children write to few pages of it.

What a sandbox allocates first lands in the holes that the warm-up has left all over the heap. Each hole is
in a page that it shares with the zygote and has to copy, and each such page splits a huge page that a fork
would have copied as one. So the holes are filled before the first fork: what comes later gets fresh memory in
one place.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

__all__ = ["fill_holes"]

_KEPT: Final[list[Any]] = []
"""What fills the holes of Python's own allocator, for the life of the process."""
_SMALL: Final = range(16, 513, 16)
"""Sizes in bytes that Python's allocator serves (Objects/obmalloc.c: 512, in steps of 16)."""
_MOST_OBJECTS: Final = 50_000
"""Of each size: a bound, where some other allocator is in use."""
_FRESH_IN_A_ROW: Final = 4
_LARGE: Final = (*(1 << power for power in range(17, 9, -1)), 512, 384, 256, 192, 128, 96, 64, 48, 32, 24)
"""Sizes in bytes asked of malloc, the largest first, so that a large hole is not broken into small ones."""
_MOST_CHUNKS: Final = 100_000


def fill_holes() -> None:
    """Fill the holes of both heaps; where there is another allocator than CPython's and glibc's, nothing."""
    if sys.implementation.name == "cpython" and sys.platform == "linux":
        _fill_small()
        _fill_large()


def _fill_small() -> None:
    known = _mapped()
    for size in _SMALL:
        kept: list[object] = []
        fresh = 0
        while fresh < _FRESH_IN_A_ROW and len(kept) < _MOST_OBJECTS:
            kept.append(_object_of(size))
            address = id(kept[-1])
            fresh = 0 if any(low <= address < high for low, high in known) else fresh + 1
        _KEPT.append(tuple(kept))


def _object_of(size: int) -> object:
    """A new object that takes ``size`` bytes, and is not tracked by the garbage collector."""
    if size == 16:
        return object()
    if size == 32:
        return float("0.5")
    return bytes(bytearray(size - sys.getsizeof(b"")))  # of a bytearray, as bytes(n) is kept once for n < 2


def _mapped() -> list[tuple[int, int]]:
    """The writable memory that there is now, ranges that touch taken together."""
    ranges: list[tuple[int, int]] = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            addresses, access = line.split(maxsplit=2)[:2]
            if access.startswith("rw"):
                low, high = (int(part, 16) for part in addresses.split("-"))
                if ranges and ranges[-1][1] == low:
                    low = ranges.pop()[0]
                ranges.append((low, high))
    return sorted(ranges, key=lambda one: one[0] - one[1])  # the largest first: most objects lie there


class _Mallinfo2(ctypes.Structure):
    """What glibc's ``mallinfo2`` returns, in its order."""

    _fields_ = (
        ("arena", ctypes.c_size_t),
        ("ordblks", ctypes.c_size_t),
        ("smblks", ctypes.c_size_t),
        ("hblks", ctypes.c_size_t),
        ("hblkhd", ctypes.c_size_t),
        ("usmblks", ctypes.c_size_t),
        ("fsmblks", ctypes.c_size_t),
        ("uordblks", ctypes.c_size_t),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    )


def _fill_large() -> None:
    libc = ctypes.CDLL(None)
    try:
        libc.mallinfo2.restype = _Mallinfo2  # glibc from 2.33 on
    except AttributeError:
        return
    libc.malloc.argtypes, libc.malloc.restype = (ctypes.c_size_t,), ctypes.c_void_p
    libc.free.argtypes = (ctypes.c_void_p,)
    libc.sbrk.argtypes, libc.sbrk.restype = (ctypes.c_ssize_t,), ctypes.c_void_p
    # The heap's last piece, which nothing has used yet: a chunk from there says that no hole is left for it.
    unused = libc.sbrk(0) - libc.mallinfo2().keepcost - 4096
    chunks = 0
    for size in _LARGE:
        while chunks < _MOST_CHUNKS:
            chunk = libc.malloc(size - 8)  # with its header
            if chunk is None or chunk >= unused:  # or mapped by itself, far above
                libc.free(chunk)
                break
            chunks += 1
