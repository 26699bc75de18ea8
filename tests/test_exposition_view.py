"""GET /metrics through Django's handler: status, headers and body."""

from __future__ import annotations

import gzip

import pytest
from django.test import Client
from pytest_django import Settings

from metrics.registry import METRICS, Status

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"


@pytest.fixture
def client() -> Client:
    """Return a client that would be refused where CSRF is checked."""
    return Client(enforce_csrf_checks=True)


def test_plain_get(client: Client) -> None:
    """Without an Accept header the answer is text 0.0.4 with the gateway's families."""
    METRICS.record_request("view-test", Status.SUCCESS, 0.2)
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"] == TEXT
    assert response["Cache-Control"] == "no-store"
    assert response["Vary"] == "Accept, Accept-Encoding"
    assert response["Content-Length"] == str(len(response.content))
    assert "Set-Cookie" not in response
    assert "Content-Encoding" not in response
    text = response.content.decode()
    assert 'sentinel_requests_total{status="success",tool="view-test"} 1.0\n' in text
    assert "# EOF" not in text


def test_openmetrics(client: Client) -> None:
    """A scraper that prefers OpenMetrics gets it, with the end marked once."""
    response = client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert response["Content-Type"] == OPENMETRICS
    assert response.content.endswith(b"\n# EOF\n")
    assert response.content.count(b"# EOF") == 1


def test_gzip(client: Client) -> None:
    """A client that takes gzip gets the same text compressed."""
    response = client.get("/metrics", headers={"accept-encoding": "gzip"})
    assert response["Content-Encoding"] == "gzip"
    assert response["Content-Length"] == str(len(response.content))
    assert gzip.decompress(response.content).startswith(b"# HELP ")


def test_head(client: Client) -> None:
    """HEAD has GET's headers and no body."""
    response = client.head("/metrics")
    assert (response.status_code, response.content) == (200, b"")
    assert response["Content-Type"] == TEXT
    assert int(response["Content-Length"]) > 1000


def test_options(client: Client) -> None:
    """OPTIONS says what is allowed."""
    response = client.options("/metrics")
    assert (response.status_code, response.content) == (200, b"")
    assert response["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_other_methods(client: Client, method: str) -> None:
    """Any other method is 405 with Allow, before CSRF is asked."""
    response = client.generic(method, "/metrics")
    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD, OPTIONS"
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content == b"Method not allowed"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_disabled(client: Client, settings: object, method: str) -> None:
    """A disabled endpoint is not there, whatever is asked of it."""
    settings.SENTINEL_METRICS_ENABLED = False  # type: ignore[attr-defined]
    response = client.generic(method, "/metrics")
    assert response.status_code == 404
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    if method != "HEAD":
        assert response.content == b"Metrics not enabled"


def test_a_trailing_slash_makes_no_difference(settings: Settings) -> None:
    """/metrics/ is answered as /metrics is, and never redirected, by middleware and URLs."""
    ours = "metrics.middleware.MetricsMiddleware"
    for middleware in (settings.MIDDLEWARE, [m for m in settings.MIDDLEWARE if m != ours]):
        settings.MIDDLEWARE = middleware
        for path in ("/metrics", "/metrics/"):
            answer = Client().get(path)
            assert (answer.status_code, answer["Content-Type"]) == (200, TEXT)
        assert Client().get("/metrics//").status_code == 404
