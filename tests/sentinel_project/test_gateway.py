"""The sample gateway: answers, and what each call is counted as."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from django.test import Client

from metrics.registry import Metrics
from sentinel_project import gateway


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """Return the isolated metrics that the gateway records into."""
    isolated = Metrics()
    monkeypatch.setattr(gateway, "METRICS", isolated)
    return isolated


def count(metrics: Metrics, tool: str, status: str) -> float | None:
    """Return how many calls of ``tool`` ended as ``status``."""
    return metrics.registry.get_sample_value(
        "sentinel_requests_total", {"tool": tool, "status": status}
    )


TOO_DEEP = b"[" * 100_000 + b"]" * 100_000
CALLS: list[tuple[str, bytes, int, Any, str]] = [
    ("echo", b'{"a": [1, "\xc3\xa9", null]}', 200, {"a": [1, "é", None]}, "success"),
    ("echo", b'"\\ud800"', 200, "\ud800", "success"),
    ("echo", b"", 400, {"error": "the body must be JSON"}, "invalid_args"),
    ("echo", b"NaN", 400, {"error": "the body must be JSON"}, "invalid_args"),
    ("echo", b"1e999", 400, {"error": "the body must be JSON"}, "invalid_args"),
    ("echo", b"\xff", 400, {"error": "the body must be JSON"}, "invalid_args"),
    ("echo", TOO_DEEP, 400, {"error": "the body must be JSON"}, "invalid_args"),
    ("echo", b" " * 3_000_000, 400, {"error": "the body is too long"}, "invalid_args"),
    ("hash", b'{"text": "abc"}', 200, {"sha256": hashlib.sha256(b"abc").hexdigest()}, "success"),
    ("hash", b'{"text": 1}', 400, {"error": 'the body must be {"text": "..."}'}, "invalid_args"),
    ("hash", b"[]", 400, {"error": 'the body must be {"text": "..."}'}, "invalid_args"),
    (
        "hash",
        b'{"text": "\\ud800"}',
        400,
        {"error": "the text holds half a surrogate pair"},
        "invalid_args",
    ),
    ("sleep", b'{"seconds": 0.001}', 200, {"seconds": 0.001}, "success"),
    ("sleep", b'{"seconds": 31}', 400, {"error": "seconds must be 0 to 30"}, "invalid_args"),
    ("sleep", b'{"seconds": -1}', 400, {"error": "seconds must be 0 to 30"}, "invalid_args"),
    (
        "sleep",
        b'{"seconds": true}',
        400,
        {"error": 'the body must be {"seconds": a number}'},
        "invalid_args",
    ),
    ("fail", b"{}", 500, {"error": "the tool failed"}, "error"),
]


@pytest.mark.parametrize(("tool", "body", "status", "answer", "counted"), CALLS)
def test_each_call_is_answered_and_counted(
    metrics: Metrics, tool: str, body: bytes, status: int, answer: Any, counted: str
) -> None:
    """A tool answers JSON, and its call is counted once under the status that fits."""
    response = Client().post(f"/tools/{tool}", body, content_type="application/json")
    assert (response.status_code, response["Content-Type"]) == (status, "application/json")
    assert json.loads(response.content) == answer
    assert count(metrics, tool, counted) == 1.0


def test_unknown_tools_share_one_name(metrics: Metrics) -> None:
    """Clients cannot make label values up: all unknown tools are counted as one."""
    for name in ("nonesuch", "other"):
        response = Client().post(f"/tools/{name}", b"{}", content_type="application/json")
        assert response.status_code == 404
        assert response.json() == {
            "error": "there is no such tool; there are echo, fail, hash, sleep"
        }
    assert count(metrics, "unknown", "invalid_args") == 2.0


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "options"])
def test_other_methods_are_refused(metrics: Metrics, method: str) -> None:
    """Only POST calls a tool; anything else is 405, says so, and is no call."""
    response = getattr(Client(), method)("/tools/echo")
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert "tool=" not in metrics.gather_text()


def test_needs_no_csrf_token(metrics: Metrics) -> None:
    """A caller without a browser can call a tool."""
    client = Client(enforce_csrf_checks=True)
    response = client.post("/tools/echo", b"1", content_type="application/json")
    assert (response.status_code, response.content) == (200, b"1")


def test_a_call_that_the_server_kills_is_counted_as_killed(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SystemExit of a worker's timeout passes through, and the call is counted."""

    def killed(body: Any) -> Any:
        raise SystemExit(1)

    monkeypatch.setitem(gateway.TOOLS, "echo", killed)
    with pytest.raises(SystemExit):
        Client().post("/tools/echo", b"1", content_type="application/json")
    assert count(metrics, "echo", "killed") == 1.0


def test_a_call_that_breaks_is_counted_as_an_error(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of a tool is a 500 and counted as an error."""

    def broken(body: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setitem(gateway.TOOLS, "echo", broken)
    client = Client(raise_request_exception=False)
    assert client.post("/tools/echo", b"1", content_type="application/json").status_code == 500
    assert count(metrics, "echo", "error") == 1.0
