"""GET /metrics: from a request to a call of the runner, and back."""

from __future__ import annotations

import gzip
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import Counter, Gauge, Histogram

from metrics import shared
from metrics.access.rules import Access, Decision, configured
from metrics.conf import conf
from metrics.exposition import accepts_gzip, negotiate
from metrics.registries import REGISTRY
from metrics.scraping.options import TIME_LIMIT
from metrics.scraping.scraper import SCRAPER, Scraper
from metrics.system import forks

logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = 16
"""Scrapes that a process answers at the same time; they share the work of gathering."""

GZIP_LEVEL = 5
"""A ninth of level 9's time for 7 % more bytes, measured on 2 MB of metrics."""

_METHODS = ("GET", "HEAD", "OPTIONS")
_TEXT = "text/plain; charset=utf-8"
_SHORTEST_LIMIT = 0.05  # else a client's nonsense would make collectors fail, and the log long
_LONGEST_LIMIT = 300.0

shared.exempt("sentinel_scrapes_total")
SCRAPES = Counter(
    "sentinel_scrapes_total", "Scrapes answered, by HTTP status", ["code"], registry=REGISTRY
)
SCRAPE_DURATION = Histogram(
    "sentinel_scrape_duration_seconds",
    "Time taken to answer a scrape, compression included",
    unit="seconds",
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge(
    "sentinel_scrapes_in_flight",
    "Scrapes being answered at this moment, this one included",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
for _code in ("200", "400", "401", "403", "405", "500", "503"):
    SCRAPES.labels(_code)

_places = threading.BoundedSemaphore(MAX_IN_FLIGHT)


def _free_all_places() -> None:
    """Begin anew in a forked child: the scrapes that were in flight are its parent's."""
    global _places
    _places = threading.BoundedSemaphore(MAX_IN_FLIGHT)


forks.after_in_child(_free_all_places)


@csrf_exempt
@login_not_required  # LoginRequiredMiddleware knows nothing of SENTINEL_METRICS_ACCESS
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer a scrape in the format and compression that its headers ask for.

    ``?name[]=`` (several times) keeps families or samples of that name, ``?created=1``
    adds the ``_created`` samples. Touches no session, cookie or database.
    """
    return _respond(request, SCRAPER)


def endpoint(scraper: Scraper) -> Callable[[HttpRequest], HttpResponse]:
    """Return a view that answers scrapes of ``scraper``, under the rules of GET /metrics."""

    @csrf_exempt
    @login_not_required
    def view(request: HttpRequest) -> HttpResponse:
        return _respond(request, scraper)

    return view


def _respond(request: HttpRequest, scraper: Scraper) -> HttpResponse:
    if conf.metrics_enabled:
        response = _answer(request, scraper)
        SCRAPES.labels(str(response.status_code)).inc()
    else:
        response = _plain("Metrics not enabled", 404)
    if request.method == "HEAD":
        response.content = b""  # what Content-Length tells of is not sent
    return response


def _answer(request: HttpRequest, scraper: Scraper) -> HttpResponse:
    if request.method not in _METHODS:
        return _plain("Method not allowed", 405, Allow=", ".join(_METHODS))
    if request.method == "OPTIONS":
        return _plain("", 200, Allow=", ".join(_METHODS))
    try:
        access = configured()
        if access is not None and (refusal := _refusal(request, access)):
            return refusal
    except Exception:
        logger.exception("SENTINEL_METRICS_ACCESS cannot be used; nobody may scrape.")
        return _plain("The scrape failed", 500)
    if not _places.acquire(blocking=False):
        return _too_many()
    began = time.perf_counter()
    IN_FLIGHT.inc()
    try:
        response = _scrape(request, scraper)
        response["Vary"] = "Accept, Accept-Encoding" + (", Authorization" if access else "")
        return response
    except SuspiciousOperation:  # more fields in the query than Django reads
        return _plain("Bad request", 400)
    except Exception:
        logger.exception("A scrape failed.")
        return _plain("The scrape failed", 500)
    finally:
        _places.release()
        IN_FLIGHT.dec()
        SCRAPE_DURATION.observe(time.perf_counter() - began)


def _refusal(request: HttpRequest, access: Access) -> HttpResponse | None:
    """Return the answer to a client that may not scrape; it never says why."""
    decision = access.judge(
        request.META.get("REMOTE_ADDR") or "",
        request.headers.get("X-Forwarded-For", ""),
        request.headers.get("Authorization", ""),
    )
    if decision is Decision.UNAUTHORIZED:
        return _plain("Unauthorized", 401, **{"WWW-Authenticate": access.challenge})
    if decision is Decision.BUSY:
        return _too_many()
    return _plain("Forbidden", 403) if decision is Decision.FORBIDDEN else None


def _too_many() -> HttpResponse:
    return _plain("Too many scrapes at once", 503, **{"Retry-After": "1"})


def _scrape(request: HttpRequest, scraper: Scraper) -> HttpResponse:
    chosen = negotiate(request.headers.get("Accept"))
    asked = frozenset(name for name in request.GET.getlist("name[]") if name)
    options = replace(
        scraper.options,
        names=asked or scraper.options.names,
        created=scraper.options.created or request.GET.get("created") == "1",
        time_limit=_time_limit(
            request.headers.get("X-Prometheus-Scrape-Timeout-Seconds"),
            otherwise=scraper.options.time_limit,
        ),
    )
    rendered = scraper.render(chosen, options)
    scraper.log(rendered.left_out)
    body = rendered.text.encode()
    response = HttpResponse(content_type=chosen.content_type)
    if accepts_gzip(request.headers.get("Accept-Encoding")):
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        response["Content-Encoding"] = "gzip"
    if request.method != "HEAD":
        response.content = body
    response["Content-Length"] = str(len(body))
    return _with_common_headers(response)


def _plain(text: str, status: int, **headers: str) -> HttpResponse:
    response = HttpResponse(text, status=status, content_type=_TEXT, headers=headers)
    response["Content-Length"] = str(len(response.content))
    return _with_common_headers(response)


def _with_common_headers(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _time_limit(header: str | None, *, otherwise: float = TIME_LIMIT) -> float:
    """Return the seconds a scrape may take: a little less than its client waits."""
    try:
        seconds = float(header or "")
    except ValueError:
        return otherwise
    if not math.isfinite(seconds) or seconds <= 0:
        return otherwise
    return min(max(seconds * 0.9, _SHORTEST_LIMIT), _LONGEST_LIMIT)
