"""The health server's worker: a gthread one whose threads no slow client can hold.

Gunicorn lets a thread wait without limit for the rest of a request, and the health
server has few threads. A probe's request is one packet.
"""

from __future__ import annotations

import errno
import socket
import time
from typing import Any

from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import ThreadWorker

REQUEST_SECONDS = 2.0
"""How long a request may take to come in whole."""

SEND_SECONDS = 5.0
"""How long a client may take to read an answer, or the part of it that no buffer holds."""


class _ImpatientSocket(socket.socket):
    """A connection that ends, as if its client had closed it, once its time is up."""

    deadline = 0.0
    """When all of the request has to be there, in seconds of `time.monotonic`."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive by the deadline, and after it only what is there already.

        Raises NoMoreData, which gunicorn takes quietly.
        """
        try:
            self.settimeout(max(0.0, self.deadline - time.monotonic()))
            return super().recv(size, flags)
        except (TimeoutError, BlockingIOError) as e:
            raise NoMoreData(b"") from e
        finally:
            self.settimeout(SEND_SECONDS)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of it in time, or raise BrokenPipeError, which gunicorn takes quietly."""
        try:
            super().sendall(data, flags)
        except TimeoutError as e:
            raise BrokenPipeError(errno.EPIPE, "the client does not read the answer") from e

    def setblocking(self, flag: bool) -> None:
        """Wait SEND_SECONDS where gunicorn would wait without limit.

        It asks for that before each request, and one that came in with an earlier one is
        answered without a call of `recv`, which sets the time.
        """
        self.settimeout(SEND_SECONDS if flag else 0.0)

    def shutdown(self, how: int) -> None:
        """End the connection without waiting for the client's end of it.

        Gunicorn waits there, in the thread that accepts connections.
        """
        super().shutdown(how)
        self.deadline = 0.0


class HealthWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Closes connections whose request does not come in within REQUEST_SECONDS."""

    def handle(self, conn: Any) -> Any:
        """Handle the next request of a connection; runs in a thread of the pool."""
        if not isinstance(conn.sock, _ImpatientSocket):
            conn.sock = _ImpatientSocket(fileno=conn.sock.detach())
        conn.sock.deadline = time.monotonic() + REQUEST_SECONDS
        # It waits there for the first byte, longer than we would, and then queues for more.
        wait = getattr(conn, "wait_for_data", None)
        if wait is not None and not conn.initialized and not wait(REQUEST_SECONDS):
            return False
        return super().handle(conn)
