"""The HTTP probe."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from health.probes import HTTPProbe
from tests.support import misbehaving
from tests.support.harness import free_port
from tests.support.misbehaving import http_answer
from tests.support.probes import outcome


@pytest.mark.parametrize(
    ("talk", "options", "expected"),
    [
        (http_answer("200 OK", b"all is well"), {}, None),
        (http_answer("204 No Content"), {}, None),
        (http_answer("503 Service Unavailable"), {}, "status 503"),
        (http_answer("503 Service Unavailable"), {"statuses": [503]}, None),
        (http_answer("200 OK"), {"statuses": [204]}, "status 200"),
        (http_answer("302 Found\r\nLocation: http://127.0.0.1:1/"), {}, "status 302"),
        (http_answer("200 OK", b"all is well"), {"body": "is w.ll"}, None),
        (
            http_answer("200 OK", b"all is lost"),
            {"body": "is well"},
            "the body does not hold what it should",
        ),
        (http_answer("200 OK", b"all is well"), {"body": "well", "max_bytes": 11}, None),
        (
            http_answer("200 OK", b"all is well"),
            {"body": "well", "max_bytes": 10},
            "the body does not hold what it should",
        ),
        (http_answer("200 OK", b"x" * 10_000_000 + b"well"), {}, None),
        (
            http_answer("200 OK", b"x" * 10_000_000 + b"well"),
            {"body": "well"},
            "the body does not hold what it should",
        ),
    ],
)
def test_http(talk: misbehaving.Talk, options: dict[str, Any], expected: str | None) -> None:
    """Status, body and size of the answer decide; a redirect is an answer like any other."""
    with misbehaving.server(talk) as port:
        assert outcome(HTTPProbe(f"http://127.0.0.1:{port}/", **options)) == expected


def test_http_sends_what_it_is_told() -> None:
    """Method, path, headers and credentials reach the server."""
    seen: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with misbehaving.server(talk) as port:
        probe = HTTPProbe(
            f"http://127.0.0.1:{port}/healthz?deep=1",
            method="HEAD",
            headers={"X-Token": "t0ken"},
            auth=("bob", "hunter2"),
        )
        assert outcome(probe) is None
    assert seen[0].startswith(b"HEAD /healthz?deep=1 HTTP/1.1\r\n")
    assert b"\r\nX-Token: t0ken\r\n" in seen[0]
    assert b"\r\nauthorization: Basic Ym9iOmh1bnRlcjI=\r\n" in seen[0].lower().replace(
        b"basic ym9iomh1bnrlcji=", b"Basic Ym9iOmh1bnRlcjI="
    )


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (misbehaving.silence, "(read timeout=0.2"),  # what was left of 0.3 s
        (misbehaving.drip, "the body does not end"),
    ],
)
def test_http_gives_up_in_time(talk: misbehaving.Talk, expected: str) -> None:
    """A server that says nothing, or never comes to an end, costs the timeout and no more."""
    with misbehaving.server(talk) as port:
        error = outcome(HTTPProbe(f"http://127.0.0.1:{port}/", body="never"), timeout=0.3)
    assert expected in str(error)


def test_http_reset_in_the_middle() -> None:
    """A connection that breaks while the body comes is a failure that says so."""
    with misbehaving.server(misbehaving.reset_in_the_middle) as port:
        error = str(outcome(HTTPProbe(f"http://127.0.0.1:{port}/", body="well")))
    assert error.startswith("ProtocolError: ")
    assert "Connection reset by peer" in error


def test_http_refused() -> None:
    """Nobody listens."""
    assert "Connection refused" in str(outcome(HTTPProbe(f"http://127.0.0.1:{free_port()}/")))


def test_http_name_that_does_not_resolve() -> None:
    """A name without an address is the backend's failure."""
    error = str(outcome(HTTPProbe("http://no-such-host.invalid/")))
    assert error.startswith("NameResolutionError")
