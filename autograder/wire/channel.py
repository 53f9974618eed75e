"""Frames over a connected stream socket, with a limit on every wait."""

from __future__ import annotations

import array
import select
import socket
import time
from collections.abc import Sequence

from autograder.errors import SandboxDied, SandboxTimeout, WireError
from autograder.wire.kinds import HEAD, MAGIC, Bounds

__all__ = ["Channel"]


class Channel:
    """Frames over a connected stream socket. Every wait has a limit in seconds of wall time.

    ``ahead``: bytes that may be read before they are asked for; 0 where descriptors come between frames.
    """

    def __init__(self, sock: socket.socket, bounds: Bounds | None = None, *, ahead: int = 0) -> None:
        self.sock = sock
        self.bounds = bounds or Bounds()
        self._ahead, self._read = ahead, bytearray()
        self.received = 0
        """Bytes of all frames that came in."""
        sock.setblocking(False)

    def fileno(self) -> int:
        """For ``select`` and ``poll``."""
        return self.sock.fileno()

    def arrives(self, wall_s: float) -> bool:
        """Whether anything comes within ``wall_s`` seconds, or the other side is gone."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(wall_s * 1000))

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def send(self, chunks: Sequence[memoryview | bytes], wall_s: float | None = None) -> None:
        """Write one frame. :class:`SandboxTimeout` when the other side does not read, :class:`SandboxDied`
        when it is gone."""
        deadline = None if wall_s is None else time.monotonic() + wall_s
        pending = [memoryview(chunk) for chunk in chunks if len(chunk)]
        while pending:
            try:
                sent = self.sock.sendmsg(pending[:64])
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline, wall_s)
                continue
            except OSError as error:
                raise SandboxDied("the other side of the wire is gone") from error
            while pending and sent >= len(pending[0]):
                sent -= len(pending.pop(0))
            if sent:
                pending[0] = pending[0][sent:]

    def send_descriptor(self, fd: int, wall_s: float) -> None:
        """Pass an open file on, with one byte beside it; errors as :meth:`send`."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        deadline = time.monotonic() + wall_s
        while True:
            try:
                self.sock.sendmsg([b"\0"], rights)
                return
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline, wall_s)
            except OSError as error:
                raise SandboxDied("the other side of the wire is gone") from error

    def receive(self, wall_s: float | None = None) -> tuple[bytearray, bytearray]:
        """Read one frame: its header and its payload, not yet decoded.

        :raises SandboxTimeout: nothing whole arrived within ``wall_s`` seconds.
        :raises SandboxDied: the other side closed the socket.
        :raises WireError: the frame is not one, or larger than the bounds.
        """
        deadline = None if wall_s is None else time.monotonic() + wall_s
        magic, header_bytes, payload_bytes = HEAD.unpack(self._exactly(HEAD.size, deadline, wall_s))
        if magic != MAGIC:
            raise WireError("bytes on the wire that are no frame")
        if header_bytes > self.bounds.header_bytes or payload_bytes > self.bounds.payload_bytes:
            raise WireError(f"a frame of {(header_bytes + payload_bytes) >> 20} MiB is larger than the limit")
        self.received += header_bytes + payload_bytes
        header = self._exactly(header_bytes, deadline, wall_s)
        return header, self._exactly(payload_bytes, deadline, wall_s)

    def _exactly(self, size: int, deadline: float | None, wall_s: float | None) -> bytearray:
        # Grows with what really arrives: a frame that only announces 256 MiB costs nothing.
        data = self._read
        while (missing := size - len(data)) > 0:
            try:
                part = self.sock.recv(min(max(missing, self._ahead), 1 << 20))
            except BlockingIOError:
                self._wait(select.POLLIN, deadline, wall_s)
                continue
            except OSError as error:
                raise SandboxDied("the other side of the wire is gone") from error
            if not part:
                raise SandboxDied("the other side of the wire is gone")
            data += part
        self._read = data[size:]
        del data[size:]
        return data

    def _wait(self, event: int, deadline: float | None, wall_s: float | None) -> None:
        poll = select.poll()
        poll.register(self.sock, event)
        left = None if deadline is None else deadline - time.monotonic()
        if (left is not None and left <= 0) or not poll.poll(None if left is None else left * 1000):
            raise SandboxTimeout(f"no answer within {wall_s:g} s", limit_s=wall_s or 0.0)
