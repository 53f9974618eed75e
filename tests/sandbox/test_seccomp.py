"""The system call filter alone, put on a forked process: what it refuses, kills and lets through."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from autograder.errors import SandboxUnavailable
from autograder.sandbox import linux, seccomp

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or seccomp.available() is not None, reason="needs Linux and libseccomp"
)

NEWUSER, NEWNET = 0x1000_0000, 0x4000_0000


def filtered(work: Callable[[], Any], *, memfd: bool = False) -> tuple[Any, int]:
    """What ``work()`` gives under the filter, as JSON, and how its process ended."""
    program = seccomp.compile_filter(memfd=memfd)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            linux.no_new_privs()
            seccomp.install(program)
            os.write(writer, json.dumps(work()).encode())
        except BaseException as error:
            os.write(writer, json.dumps(f"{type(error).__name__}: {error}").encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        data = answer.read()
    _, status = os.waitpid(pid, 0)
    return (json.loads(data) if data else None), os.waitstatus_to_exitcode(status)


def number_of(name: str) -> int:
    lib = pytest.importorskip("pyseccomp")
    number = lib.resolve_syscall(lib.Arch.NATIVE, name)
    return number if number >= 0 else seccomp._RECENT.get(name, -1)


def refusal(number: int, *args: int) -> int:
    """errno of a call, 0 if it went through."""
    try:
        linux.syscall(number, *args)
    except OSError as error:
        return error.errno or -1
    return 0


@pytest.mark.parametrize("name", seccomp.DENIED)
def test_denied_calls_give_eperm(name: str) -> None:
    number = number_of(name)
    if number < 0:
        pytest.skip(f"{name} does not exist on this architecture")
    # -1 in every argument: a call that got through would fail with another errno, and do nothing
    assert filtered(lambda: refusal(number, -1, -1, -1, -1, -1, -1)) == (errno.EPERM, 0)


def test_calls_later_than_the_list_do_not_exist() -> None:
    assert filtered(lambda: [refusal(470), refusal(600), refusal(100_000)]) == ([errno.ENOSYS] * 3, 0)


def test_clone3_falls_back_and_clone_makes_no_namespace() -> None:
    clone, clone3 = number_of("clone"), number_of("clone3")

    def work() -> list[int]:
        return [refusal(clone3, 0, 0), refusal(clone, NEWUSER | 17, 0), refusal(clone, NEWNET | 17, 0)]

    assert filtered(work) == ([errno.ENOSYS, errno.EPERM, errno.EPERM], 0)


def test_fork_threads_and_programs_go_on() -> None:
    def work() -> list[Any]:
        import threading

        pid = os.fork()
        if pid == 0:
            os._exit(3)
        done: list[Any] = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]
        thread = threading.Thread(target=done.append, args=("thread",))
        thread.start()
        thread.join()
        done.append(subprocess.run("echo program", shell=True, capture_output=True, text=True).stdout)
        return done

    assert filtered(work) == ([3, "thread", "program\n"], 0)


def test_only_three_families_of_sockets() -> None:
    socket_, pair = number_of("socket"), number_of("socketpair")

    def work() -> list[Any]:
        families = [family for family in range(64) if refusal(socket_, family, 1, 0) != errno.EPERM]
        high_bits = [refusal(socket_, 1 << 32 | family, 3, 0) for family in (16, 17, 38, 40)]
        protocols = [refusal(socket_, 2, kind, protocol) for kind, protocol in ((5, 132), (1, 262), (6, 33))]
        pairs = [refusal(pair, family, 1, 0, 0) for family in (2, 30, 40)]
        return [families, high_bits, protocols, pairs]

    families, high_bits, protocols, pairs = filtered(work)[0]
    assert families == [1, 2, 10]
    assert {*high_bits, *protocols, *pairs} == {errno.EPERM}


def test_terminal_input_cannot_be_forged() -> None:
    ioctl = number_of("ioctl")

    def work() -> list[int]:
        return [refusal(ioctl, 0, request, 0) for request in (0x5412, 0x541C, 1 << 32 | 0x5412)]

    assert filtered(work) == ([errno.EPERM] * 3, 0)


def test_personality_can_only_be_asked() -> None:
    number = number_of("personality")

    def work() -> list[int]:
        return [
            refusal(number, 0xFFFF_FFFF),
            refusal(number, 0x40000),
            refusal(number, 1 << 32 | 0x40000),
        ]

    assert filtered(work) == ([0, errno.EPERM, errno.EPERM], 0)


def test_memfd_only_where_asked_for() -> None:
    def work() -> str:
        os.close(os.memfd_create("x"))
        return "made"

    assert filtered(work)[0] == f"PermissionError: [Errno 1] {os.strerror(1)}"
    assert filtered(work, memfd=True) == ("made", 0)


def test_the_filter_cannot_be_taken_off_but_made_stricter() -> None:
    # an empty second filter is refused as malformed, a filter that allows everything changes nothing
    allow_all = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF_0000)

    def work() -> int:
        seccomp.install(allow_all)
        return refusal(number_of_mount)

    number_of_mount = number_of("mount")
    assert filtered(work) == (errno.EPERM, 0)


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="other architectures have no second call table here"
)
def test_calls_of_another_architecture_kill() -> None:
    def x32() -> int:
        return refusal(0x4000_0000 + 39)

    def i386() -> int:
        import mmap

        # mov eax, 20 (getpid of i386); int 0x80; ret
        code = mmap.mmap(
            -1,
            4096,
            flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
            prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC,
        )
        code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
        address = ctypes.addressof(ctypes.c_char.from_buffer(code))
        return ctypes.CFUNCTYPE(ctypes.c_int)(address)()

    assert filtered(x32) == (None, -signal.SIGSYS)
    assert filtered(i386) == (None, -signal.SIGSYS)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(SandboxUnavailable, match="pip install pyseccomp"):
        seccomp.compile_filter.__wrapped__()
    assert "pip install pyseccomp" in (seccomp.available() or "")
