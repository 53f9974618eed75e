"""The loop inside a sandbox: reads requests of the judge from the wire, runs them, answers.

The agent shares its interpreter with student code, so nothing it says counts as evidence. It keeps one rule
of its own:
checks never run in the process that ran the cells. ``fork`` answers them in a copy, whose side effects
die with it, and the notebook goes on where it was.
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import torch

from autograder.errors import WireError
from autograder.sandbox.folder import Folder
from autograder.sandbox.following import Follower, Once
from autograder.sandbox.frontend import Frontend
from autograder.sandbox.objects import Objects, explain, operations
from autograder.sandbox.reserve import Reserve
from autograder.wire import Bounds, Channel, decode, encode

__all__ = ["Agent"]


class Agent:
    """Serves one channel until it closes."""

    def __init__(self, channel: Channel, frontend: Frontend, *, seed: int, missing: list[str]) -> None:
        self.channel = channel
        self.frontend = frontend
        self.objects = Objects(frontend)
        self.objects.seed(seed)
        self._failed: BaseException | None = None
        self._reserve = Reserve()
        frontend.keep_back(self._reserve)
        self._once = Once()
        self._follower: Follower | None = None
        self._renewed = False
        self._operations: dict[str, Callable[..., Any]] = {
            **operations(self.objects),
            **Folder().operations(),
            "cell": self._cell,
            "hello": lambda: missing,
            "end_branch": self._end_branch,
            "follow": self._follow,
            "renew": self._renew,
            "was_renewed": lambda: self._renewed,
        }

    def serve(self) -> None:
        """Answer requests until the judge closes the wire; then end the process."""
        self._reserve.open()
        while True:
            try:
                header, payload = self.channel.receive()
                request = decode(header, payload, self.objects.resolve, bounds=Bounds(), trusted=True)
                operation = request.pop("op")
            except WireError as error:
                self._reply({"failed": {"type": "WireError", "kinds": [], "text": str(error), "trace": ""}})
                continue
            except LookupError as error:
                # A handle, name or probe that is not there (any more).
                self._reply({"failed": explain(error)})
                continue
            try:
                if operation == "before":
                    self._do(request["requests"])
                    continue
                failed, self._failed = self._failed, None
                if operation == "fork":
                    self._fork()
                    continue
                if failed is not None:
                    raise failed
                self._reply({"ok": self._operate(operation, request)})
            except BaseException as error:  # student code behind any of these may raise anything
                self._reply({"failed": explain(error)})

    def _operate(self, operation: str, request: dict[str, Any]) -> Any:
        """What a request asks for, without the memory that is kept back for the answer."""
        self._reserve.shut()
        if operation != "call":
            self.objects.something_ran()
        if operation != "cell":
            self._once.pause()
        try:
            return self._operations[operation](**request)
        finally:
            self._reserve.open()

    def _do(self, requests: list[dict[str, Any]]) -> None:
        """Requests without an answer; the failure of one is that of the next request, and the others are done
        all the same."""
        for request in requests:
            try:
                self._operate(request.pop("op"), request)
            except BaseException as error:  # what is patched may be the student's
                self._failed = self._failed or error

    def _reply(self, message: dict[str, Any]) -> None:
        try:
            chunks = encode(message, self.objects.hold)
        except BaseException as error:  # a value that fights back while it is read
            chunks = encode({"failed": explain(error)})
        self.channel.send(chunks)

    def _cell(self, **fields: Any) -> dict[str, Any]:
        """Run a cell. What a stopped one started ends with it: it would take time and memory from the tasks
        that follow."""
        self._once.start()
        result = self.frontend.run_cell(**fields)
        result["once"] = self._once.stop()
        if result["timeout"] and os.getpid() == 1:  # of a process namespace, which holds only what it started
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(-1, signal.SIGKILL)
                deadline = time.monotonic() + 0.5
                while time.monotonic() < deadline:
                    if os.waitpid(-1, os.WNOHANG) == (0, 0):
                        time.sleep(0.005)
        return result

    def _fork(self) -> None:
        """Answer the judge's checks in a copy of this process, over the socket that comes with the
        request."""
        own = self.channel.sock
        own.setblocking(True)
        _, ancillary, _, _ = own.recvmsg(1, socket.CMSG_SPACE(4))
        own.setblocking(False)
        numbers = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
        branch = socket.socket(fileno=numbers[0])
        state = random.getstate()
        child = os.fork()
        if child == 0:
            random.setstate(state)  # a process that Python forks gets another one
            own.close()
            os.setpgid(0, 0)  # so that what a check starts ends with it
            # A parallel region of a copied thread pool would wait for threads that are not here.
            torch.set_num_threads(1)
            gc.freeze()
            self.channel = Channel(branch, self.channel.bounds)
            self.be_a_copy()
            return
        branch.close()
        self._once.pause()
        self._reply({"ok": child})

    def be_a_copy(self) -> None:
        """Note what this copy has to go back to later."""
        try:
            self._follower = Follower(self.frontend)
        except BaseException:  # an object of the student's fights back when it is looked at: no following
            self._follower = None

    def _follow(self, cells: list[tuple[str, str | None]], wall_s: float) -> bool:
        """Bring this copy up to where the notebook is; false where it cannot be."""
        if self._follower is None:
            return False
        self.objects.forget()
        return self._follower.follow(cells, wall_s)

    def _renew(self) -> None:
        """Make this copy what it was at first, as far as that can be."""
        self.objects.forget()
        try:
            self._renewed = self._follower is not None and self._follower.renew()
        except BaseException:  # as above; the next request must not fail for it
            self._renewed = False

    def _end_branch(self, pid: int, dead: bool) -> int | None:
        """End a copy. ``dead``: it ended by itself; tell its wait status (negative: a signal)."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            # A copy may have closed the wire and live on: it gets a moment, then it is killed all the same.
            deadline = time.monotonic() + 0.5
            while dead and time.monotonic() < deadline:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    return os.waitstatus_to_exitcode(status)
                time.sleep(0.005)
            with contextlib.suppress(ProcessLookupError):  # it may have left its group
                os.killpg(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
            # What the next cell writes to would have to be copied for as long as this one shares it.
            os.waitpid(pid, 0)
        return None
