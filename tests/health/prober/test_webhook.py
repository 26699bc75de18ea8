"""The webhook that tells of changes."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from django.test import override_settings

from health.board.health_map import BackendHealthMap
from health.conf.webhook import WebhookConfig
from health.core.record import replace
from health.prober.history import Recorder
from health.prober.webhook import Webhook, WebhookError
from tests.support import misbehaving


class Receiver:
    """Takes messages of a webhook, and answers as it is told."""

    def __init__(self) -> None:
        self.status = "204 No Content"
        self.requests: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        """Read one request with its body, and answer it."""
        content = b""
        while b"\r\n\r\n" not in content or not content.partition(b"\r\n\r\n")[2]:
            content += connection.recv(65536)
        self.requests.append(content)
        connection.sendall(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The bodies that came."""
        return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in self.requests]


def test_the_webhook_tells_of_a_failure_and_of_the_recovery(board: BackendHealthMap) -> None:
    """A first healthy state is no news; falling ill is, and so is recovering, once each."""
    receiver = Receiver()
    with (
        misbehaving.server(receiver) as port,
        override_settings(
            SENTINEL_WEBHOOK={
                "URL": f"http://127.0.0.1:{port}/hook",
                "HEADERS": {"X-Key": "k3y"},
                "MIN_SECONDS": 0,
            }
        ),
    ):
        recorder = Recorder(board)
        for healthy in (True, False, False, True, True):
            board.report("db", healthy, error=None if healthy else "refused")
            recorder.tell()
            recorder.tell()
    assert [(m["backend"], m["status"], m["error"]) for m in receiver.messages] == [
        ("db", "unhealthy", "refused"),
        ("db", "healthy", None),
    ]
    assert receiver.requests[0].startswith(b"POST /hook HTTP/1.1\r\n")
    assert b"\r\nX-Key: k3y\r\n" in receiver.requests[0]


def test_the_webhook_keeps_its_distance(board: BackendHealthMap) -> None:
    """Within the minimum time a flapping backend is told once, and later where it ended."""
    receiver = Receiver()
    with misbehaving.server(receiver) as port:
        webhook = Webhook()
        often = WebhookConfig(f"http://127.0.0.1:{port}/", min_seconds=3600)
        board.report("db", False)
        assert webhook.tell(board.snapshot().values(), often) == {"db": False}
        board.report("db", True)
        told = [replace(b, told=False) for b in board.snapshot().values()]
        assert webhook.tell(told, often) == {}
        later = WebhookConfig(often.url, min_seconds=0)
        assert webhook.tell(told, later) == {"db": True}
    assert [m["status"] for m in receiver.messages] == ["unhealthy", "healthy"]


def test_a_message_that_did_not_arrive_is_sent_again(board: BackendHealthMap) -> None:
    """A receiver that refuses is an error, and the same message comes with the next try."""
    receiver = Receiver()
    receiver.status = "500 Internal Server Error"
    board.report("db", False)
    with misbehaving.server(receiver) as port:
        config = WebhookConfig(f"http://127.0.0.1:{port}/", min_seconds=3600)
        webhook = Webhook()
        with pytest.raises(WebhookError, match="status 500"):
            webhook.tell(board.snapshot().values(), config)
        receiver.status = "200 OK"
        assert webhook.tell(board.snapshot().values(), config) == {"db": False}
    assert len(receiver.requests) == 2


def test_the_webhooks_secrets_are_not_shown(board: BackendHealthMap) -> None:
    """Neither the URL nor a header is in the repr, nor in what is said of a failure."""
    config = WebhookConfig("http://no-such-host.invalid/s3cr3t", {"X": "s3cr3t"})
    assert "s3cr3t" not in repr(config)
    board.report("db", False)
    with pytest.raises(WebhookError, match=r"no-such-host\.invalid") as raised:
        Webhook().tell(board.snapshot().values(), config)
    assert "s3cr3t" not in str(raised.value)
