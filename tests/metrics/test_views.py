"""GET /metrics through Django's handler: status, headers and body."""

from __future__ import annotations

import gzip
import threading
from typing import Any

import pytest
from django.test import Client, RequestFactory
from pytest_django import Settings

from metrics import views
from metrics.registry import METRICS, Status
from metrics.scraping.scraper import SCRAPER

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


PLAIN = "text/plain; charset=utf-8"


def test_too_many_fields_are_the_askers_fault(client: Client) -> None:
    """A query with more fields than Django reads is 400, and no fault in the log."""
    response = client.get("/metrics?" + "&".join(["a=1"] * 1200))
    assert (response.status_code, response["Content-Type"]) == (400, PLAIN)
    assert response.content == b"Bad request"


@pytest.mark.parametrize(
    ("enabled", "status", "length"), [(False, 404, 19), (True, 401, 12)], ids=["off", "refused"]
)
def test_a_refused_head_has_no_body(
    settings: Settings, enabled: bool, status: int, length: int
) -> None:
    """HEAD gets the length of the words that GET would get, and not the words."""
    settings.SENTINEL_METRICS_ENABLED = enabled
    settings.SENTINEL_METRICS_ACCESS = {"BEARER": ["a-token-that-nobody-has"]}
    response = views.metrics(RequestFactory().head("/metrics"))
    assert (response.status_code, response.content) == (status, b"")
    assert response["Content-Length"] == str(length)


def test_too_many_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit of scrapes in flight the answer is 503 with Retry-After, and counted."""
    monkeypatch.setattr(views, "_places", threading.BoundedSemaphore(1))
    views._places.acquire()
    response = client.get("/metrics")
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert (response.content, response["Content-Type"]) == (b"Too many scrapes at once", PLAIN)
    views._places.release()
    text = client.get("/metrics").content.decode()
    assert 'sentinel_scrapes_total{code="503"} ' in text
    assert 'sentinel_scrapes_total{code="503"} 0.0' not in text


def test_a_fault_of_ours(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the scrape is 500 without a word about it, and frees its place."""

    def render(*args: object, **kwargs: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(views, "_places", threading.BoundedSemaphore(1))
    with monkeypatch.context() as patch:
        patch.setattr(SCRAPER, "render", render)
        for _ in range(3):
            response = client.get("/metrics")
            assert (response.status_code, response.content) == (500, b"The scrape failed")
    assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 10.0),
        ("", 10.0),
        ("20", 18.0),
        ("0.5", 0.45),
        ("0", 10.0),
        ("-1", 10.0),
        ("nan", 10.0),
        ("inf", 10.0),
        ("1e9", 300.0),
        ("1e-9", 0.05),
        ("soon", 10.0),
    ],
)
def test_time_limit(header: str | None, seconds: float) -> None:
    """A scrape takes a little less than its client waits, within reason."""
    assert views._time_limit(header) == pytest.approx(seconds)


def test_without_the_middleware(client: Client, settings: Settings) -> None:
    """The view alone gives the same, behind the site's own middleware."""
    settings.MIDDLEWARE = [
        name for name in settings.MIDDLEWARE if name != "metrics.middleware.MetricsMiddleware"
    ]
    response = Client(enforce_csrf_checks=True).get("/metrics")
    assert response.status_code == 200
    assert "sentinel_build_info{" in response.content.decode()
    assert "Set-Cookie" not in response
    assert Client(enforce_csrf_checks=True).post("/metrics").status_code == 405


def test_filter_through_the_view(client: Client) -> None:
    """``name[]`` may come several times; an empty one asks for nothing in particular."""
    text = client.get("/metrics?name[]=sentinel_build_info&name[]=python_info").content.decode()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert names == {"sentinel_build_info", "python_info"}
    assert client.get("/metrics?name[]=").content.count(b"# TYPE") > 5
    assert client.get("/metrics?name[]=no_such_thing").content == b""


def test_created_through_the_view(client: Client, registered: Any) -> None:
    """``?created=1`` shows when each counter began."""
    assert b"sentinel_scrapes_created" not in client.get("/metrics").content
    assert b"sentinel_scrapes_created" in client.get("/metrics?created=1").content
