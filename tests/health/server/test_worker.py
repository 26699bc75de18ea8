"""The worker of the health server."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn

from health.server.worker import SEND_SECONDS, HealthWorker


def test_no_answer_waits_without_limit_for_its_client(tmp_path: Path) -> None:
    """Nor does one to a request that came in the same packet as the one before it."""
    limits = []

    class Worker(HealthWorker):
        def handle_request(self, req: Any, conn: Any) -> bool:
            limits.append(conn.sock.gettimeout())
            return True

    config = Config()
    config.set("worker_tmp_dir", str(tmp_path))
    worker = Worker(0, os.getpid(), [], None, 0, config, logging.getLogger(__name__))
    ours, theirs = socket.socketpair()
    with contextlib.closing(worker.tmp), theirs:
        connection = TConn(config, ours, ("127.0.0.1", 1), ("127.0.0.1", 2))
        with contextlib.closing(connection):
            theirs.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
            assert [worker.handle(connection) for _ in range(3)] == [True] * 3
            assert limits == [SEND_SECONDS] * 3
            connection.sock.settimeout(0.01)  # as if that time were up
            with pytest.raises(BrokenPipeError):  # of which gunicorn makes no traceback
                connection.sock.sendall(bytes(10_000_000))
