"""Random requests: whatever comes in, no answer is a fault of ours."""

from __future__ import annotations

import io
import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started
from django.db import close_old_connections
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from pytest_django import Settings

from metrics.scraping.gatherer import Gatherer
from metrics.scraping.scraper import SCRAPER
from tests.support.noise import REQUESTS, noise

LONGEST_FIELD = 8190
"""The longest header that gunicorn lets through. Django 6.0 itself raises at a Content-Type
of more than 10,000 characters, before any middleware."""


HEADERS = [
    "HTTP_ACCEPT",
    "HTTP_ACCEPT_ENCODING",
    "HTTP_AUTHORIZATION",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS",
    "HTTP_HOST",
    "HTTP_COOKIE",
    "HTTP_CONTENT_ENCODING",
    "HTTP_X_FORWARDED_PROTO",
    "CONTENT_TYPE",
    "REMOTE_ADDR",
    "SERVER_NAME",
]
METHODS = ["GET"] * 8 + [
    "HEAD",
    "OPTIONS",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "TRACE",
    "get",
    "\xff",
    "",
]
PATHS = ["/metrics"] * 9 + ["/metrics/", "//metrics", "/metrics\x00", "/METRICS", "", "/\xff"]


@pytest.fixture(autouse=True)
def _surroundings() -> Iterator[None]:
    """Keep thousands of requests out of the log, and away from other tests' database."""
    logging.disable(logging.CRITICAL)
    request_started.disconnect(close_old_connections)  # as Django's own test client does
    yield
    request_started.connect(close_old_connections)
    logging.disable(logging.NOTSET)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], str]:
    """Return a function that gives the status line of a WSGI request.

    What is gathered does not depend on the request, so it is gathered once: some metrics of
    each kind, never all that the tests before this one have left.
    """
    gathered = Gatherer(_some_metrics()).gather(time.monotonic() + 30)
    monkeypatch.setattr(SCRAPER, "_gather", lambda limit: gathered)
    statuses: list[str] = []
    handlers: list[WSGIHandler] = []

    def start(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        statuses.append(status)
        return bytes

    def ask(environ: dict[str, Any]) -> str:
        if not handlers:  # not before the test has chosen its middleware
            handlers.append(WSGIHandler())
        response = handlers[0](environ, start)
        b"".join(response)  # not closed: that would be the end of the test's database too
        return statuses.pop()

    return ask


def _some_metrics() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("calls", "Calls.", ["tool"], registry=registry).labels('a "b"\n\\c').inc()
    Gauge("caf\u00e9.open", "A name for which escaping matters.", registry=registry).set(-1.5)
    Histogram("seconds", "Durations.", registry=registry).observe(0.1, {"trace_id": "a"})
    Summary("bytes", "Sizes.", registry=registry).observe(float("inf"))
    Info("build", "What runs.", registry=registry).info({"version": "1"})
    Enum("state", "Which it is.", states=["on", "off"], registry=registry)
    return registry


ACCESS = {
    "BEARER": ["token"],
    "BASIC": {"user": "md5$salt$67a1e09bb1f83f5007dc119c14d663aa"},
    "NETWORKS": ["127.0.0.0/8", "::1"],
    "TRUSTED_PROXIES": ["10.0.0.1"],
}


@pytest.mark.parametrize("access", [None, ACCESS], ids=["open", "restricted"])
@pytest.mark.parametrize("with_middleware", [True, False])
def test_random_requests(
    answer: Callable[[dict[str, Any]], str],
    settings: Settings,
    with_middleware: bool,
    access: dict[str, Any] | None,
) -> None:
    """No request line and no header gives a 500, with and without access rules."""
    ours = "metrics.middleware.MetricsMiddleware"
    settings.MIDDLEWARE = [ours] * with_middleware + [
        name for name in settings.MIDDLEWARE if name.startswith("django.")
    ]
    settings.ALLOWED_HOSTS = ["*"]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.SENTINEL_METRICS_ACCESS = access
    source = random.Random(f"{with_middleware} {access is None}")
    seen = set()
    for _ in range(REQUESTS // 4):
        environ: dict[str, Any] = {
            "REQUEST_METHOD": source.choice(METHODS),
            "PATH_INFO": source.choice(PATHS),
            "QUERY_STRING": noise(source),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(),
            "wsgi.url_scheme": "http",
        }
        for header in source.sample(HEADERS, source.randrange(5)):
            environ[header] = noise(source)
        if "CONTENT_TYPE" in environ:
            environ["CONTENT_TYPE"] = environ["CONTENT_TYPE"][:LONGEST_FIELD]
        status = answer(dict(environ))
        assert not status.startswith("5"), str(environ)
        seen.add(status[:3])
    assert seen >= {"404", "405"} | ({"200"} if access is None else {"401", "403"})
