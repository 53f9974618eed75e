"""A judge that stays: its imports, suites and zygote are there when the next command asks for them.

``autograder warm`` starts it for a course and goes. Commands that grade ask it for workers and get them
within milliseconds; where there is none, or it was made from other files than there are now, they start their
own.

It listens on a socket in the course's own ``.autograder`` folder, which only its owner may enter, and the
kernel tells each side that the other is the same user. What is exchanged are the messages of
:mod:`autograder.workers`; a sandbox sees neither the folder nor the socket. It ends by itself when nobody has
asked for a while.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autograder.errors import AutograderError
from autograder.jobs import Setup
from autograder.keys import Conditions, Keys
from autograder.layout import Course
from autograder.workers import Notebooks, die_with_parent, prepare, serve

if TYPE_CHECKING:
    from autograder.grading import Grader

__all__ = ["connect", "run", "running", "stop"]

_NAME: Final = "warm.socket"
_CREDENTIALS: Final = struct.Struct("3i")
_HELLO_S: Final = 10.0
_OWN: Final = ("limits", "secret")
"""Parts of a content key that come with each request; all others are what the judge was made from."""


def connect(setup: Setup, workers: int) -> list[Connection]:
    """Connections to ``workers`` workers of the course's warm judge; none where there is no fitting one."""
    made: list[Connection] = []
    for _ in range(max(1, workers)):
        connection = _ask(setup.course, ("work", setup, _made_from(setup), os.getcwd()))
        if connection is None:
            break
        made.append(connection)
    return made


def running(course: Course) -> Mapping[str, Any] | None:
    """What the course's warm judge says of itself: ``pid``, ``assignments``; None where there is none."""
    connection = _ask(course, ("about",))
    return _answer(connection) if connection is not None else None


def stop(course: Course) -> bool:
    """End the course's warm judge; whether there was one."""
    told = running(course)
    if told is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(told["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 10.0
    while running(course) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    return True


def run(setup: Setup, idle_s: float) -> None:
    """Be the warm judge of ``setup``'s course until nobody has asked for ``idle_s`` seconds.

    :raises AutograderError: as :func:`autograder.workers.prepare`, or another one is there already.
    """
    os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")})
    made_from = _made_from(setup)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    def use(grader: Grader, notebooks: Notebooks) -> None:
        if _made_from(setup) != made_from:
            raise AutograderError("files of the course changed while they were read; start it again")
        with _listening(setup.course) as listener:
            _accept(listener, setup, made_from, grader, notebooks, idle_s)

    prepare(setup, use)


def _made_from(setup: Setup) -> dict[str, dict[str, str]]:
    """By assignment, what a judge is made from: digests of suite, source and engine, data sets, device …"""
    keys = Keys(setup.course, Conditions(setup.limits, setup.secret, setup.device, setup.sandbox, setup.data))
    return {
        name: {part: value for part, value in keys.shared(name).items() if part not in _OWN}
        for name in setup.assignments
    }


# -- the judge's side


@contextlib.contextmanager
def _listening(course: Course) -> Iterator[socket.socket]:
    folder = course.secret_path.parent
    folder.mkdir(mode=0o700, exist_ok=True)
    with _address(folder) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        if running(course) is not None:
            raise AutograderError("a warm judge is running already; autograder warm --stop ends it")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address)  # of one that was killed
        listener.bind(address)
        os.chmod(address, 0o600)
        listener.listen(64)
        try:
            yield listener
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address)


def _accept(
    listener: socket.socket,
    setup: Setup,
    made_from: Mapping[str, Mapping[str, str]],
    grader: Grader,
    notebooks: Notebooks,
    idle_s: float,
) -> None:
    children: list[int] = []
    last = time.monotonic()
    while children or time.monotonic() - last < idle_s:
        ready, _, _ = select.select([listener], [], [], 1.0)
        children = [pid for pid in children if os.waitpid(pid, os.WNOHANG) == (0, 0)]
        if not grader.zygote.alive:
            return
        if not ready:
            continue
        last = time.monotonic()
        client, _ = listener.accept()
        with client:
            if not _same_user(client):
                continue
            me = os.getpid()
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
                    die_with_parent(me)
                    listener.close()
                    _serve(Connection(client.detach()), setup, made_from, grader, notebooks)
                    code = 0
                except (EOFError, OSError):
                    code = 0  # the caller closed its end
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            children.append(pid)


def _serve(
    connection: Connection,
    setup: Setup,
    made_from: Mapping[str, Mapping[str, str]],
    grader: Grader,
    notebooks: Notebooks,
) -> None:
    """One caller's worker, in a process of its own."""
    if not connection.poll(_HELLO_S):
        return
    request = connection.recv()
    if request[0] == "about":
        connection.send({"pid": os.getppid(), "assignments": sorted(made_from)})
        return
    _, wanted, wanted_from, folder = request
    fits = wanted.course == setup.course and all(
        made_from.get(name) == parts for name, parts in wanted_from.items()
    )
    connection.send({"fits": fits})
    if not fits:
        return
    os.chdir(folder)
    grader = grader.for_setup(wanted.limits, execution=wanted.execution)
    grader.until_failure, grader.measuring = wanted.until_failure, wanted.measuring
    try:
        serve(replace(setup, secret=wanted.secret), grader, notebooks, connection)
    finally:
        grader.zygote.forget()


# -- the caller's side


def _ask(course: Course, request: Sequence[Any]) -> Connection | None:
    """Send ``request`` to the warm judge; the connection, of work only where it fits."""
    folder = course.secret_path.parent
    if not (folder / _NAME).exists():
        return None
    with contextlib.suppress(OSError, EOFError), contextlib.ExitStack() as stack:
        address = stack.enter_context(_address(folder))
        sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.settimeout(_HELLO_S)
        sock.connect(address)
        if not _same_user(sock):
            return None
        sock.settimeout(None)
        connection = Connection(sock.detach())
        connection.send(request)
        if request[0] == "about":
            return connection
        told = _answer(connection, close=False)
        if told and told.get("fits"):
            return connection
        connection.close()
    return None


def _answer(connection: Connection, *, close: bool = True) -> Mapping[str, Any] | None:
    try:
        told = connection.recv() if connection.poll(_HELLO_S) else None
    except (EOFError, OSError):
        told = None
    if close:
        connection.close()
    return told if isinstance(told, dict) else None


@contextlib.contextmanager
def _address(folder: Path) -> Iterator[str]:
    """The socket's address: a path of any length would not fit into one."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{_NAME}"
    finally:
        os.close(descriptor)


def _same_user(sock: socket.socket) -> bool:
    peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(peer)[1] == os.geteuid())
