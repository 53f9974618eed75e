# What attacks share; runs as the first cell of an attacked notebook, which also uses these imports.
# ruff: noqa: F401, E501
import ctypes
import errno
import gc
import os
import platform
import socket
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
_X86 = platform.machine() == "x86_64"
# numbers of calls: (x86-64, aarch64)
_NR = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "bpf": (321, 280), "io_uring_setup": (425, 425), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "perf_event_open": (298, 241), "memfd_create": (319, 279),
    "open_by_handle_at": (304, 265), "kcmp": (312, 272), "clone3": (435, 435), "fsopen": (430, 430),
    "open_tree": (428, 428), "shmget": (29, 194), "init_module": (175, 105), "kexec_load": (246, 104),
    "personality": (135, 92), "setuid": (105, 146), "capset": (126, 91), "process_madvise": (440, 440),
    "mknodat": (259, 33), "reboot": (169, 142), "settimeofday": (164, 170), "quotactl": (179, 60),
    "memfd_secret": (447, 447), "name_to_handle_at": (303, 264), "fanotify_init": (300, 262),
}  # fmt: skip


def syscall(name, *args):
    """One system call; an OSError if it fails."""
    number = _NR[name][0 if _X86 else 1] if isinstance(name, str) else name
    ctypes.set_errno(0)
    result = libc.syscall(
        ctypes.c_long(number), *[a if isinstance(a, bytes) else ctypes.c_long(a or 0) for a in args]
    )
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


AGENT = next(o for o in gc.get_objects() if type(o).__name__ == "Agent" and hasattr(o, "channel"))


def agent():
    """The engine's own object in this very process."""
    return AGENT


def wire():
    """The descriptor that leads to the judge."""
    return agent().channel.sock.fileno()


def frame(tree, lengths=(), payload=b""):
    """A forged frame."""
    import msgpack

    header = msgpack.packb([tree, list(lengths)])
    return struct.pack("<4sIQ", b"NNG1", len(header), len(payload)) + header + payload


def put(data):
    """Write to the judge past the engine."""
    os.set_blocking(wire(), True)
    view = memoryview(data)
    while view:
        view = view[os.write(wire(), view[: 1 << 20]) :]
    os.set_blocking(wire(), False)


def node(value):
    """A plain value as a tree of the wire."""
    if isinstance(value, dict):
        return ["d", [[node(k), node(v)] for k, v in value.items()]]
    return ["l", [node(v) for v in value]] if isinstance(value, list) else value


class Raw:
    """A tree that is sent as it is."""

    def __init__(self, tree):
        self.tree = tree


def reply(tree, lengths=(), payload=b""):
    """Send a forged frame in place of the next answer that holds a called function's result."""
    put(frame(tree, lengths, payload))


def answered(**fields):
    """The tree of an answer to a call, with these fields forged (a Raw is taken as it is)."""
    known = {
        "error": None,
        "value": None,
        "timeout": False,
        "stdout": "",
        "wall_s": 0.1,
        "changed": [],
        "rng": [],
    }
    pairs = [[k, v.tree if isinstance(v, Raw) else node(v)] for k, v in {**known, **fields}.items()]
    return ["d", [["ok", ["d", pairs]]]]


def forge(**fields):
    """Answer the running call in place of the engine, whose own answer is dropped."""
    lengths, payload = fields.pop("lengths", ()), fields.pop("payload", b"")
    channel = agent().channel
    reply(answered(**fields), lengths, payload)

    def drop(chunks, wall_s=None):
        del channel.send

    channel.send = drop
