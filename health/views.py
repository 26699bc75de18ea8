"""GET /health, /ready and /started: thin views over `health.readiness`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from health import prober
from health.metrics import FAULTS
from health.policy import NOT_READY, Verdict
from health.readiness import assess, has_started

logger = logging.getLogger(__name__)

JSON = "application/json"


class _Answer(HttpResponse):
    """An answer to a probe: a 503 is no fault here, so Django is not to log it as one."""

    _has_been_logged = True


Answer = tuple[int, dict[str, Any]]


def health(request: HttpRequest) -> HttpResponse:
    """Say that this process answers; no dependency is asked."""
    return _respond(request, lambda: (200, {"status": "ok"}))


def ready(request: HttpRequest) -> HttpResponse:
    """Say whether traffic may come: 200 or 503.

    ``?verbose`` lists the backends; ``?exclude=NAME`` passes one over and
    ``?tag=NAME`` counts only those that carry it, each as often as wanted.
    """
    return _respond(request, lambda: _readiness(request))


def started(request: HttpRequest) -> HttpResponse:
    """Say whether every configured backend was checked once: 200 or 503."""
    return _respond(
        request,
        lambda: (200, {"status": "started"}) if has_started() else (503, {"status": "starting"}),
    )


def _readiness(request: HttpRequest) -> Answer:
    prober.ensure_started()
    verdict = assess(exclude=request.GET.getlist("exclude"), tags=request.GET.getlist("tag"))
    body = summary(verdict)
    if "verbose" in request.GET:
        body["backends"] = {}
    return (200 if verdict.is_ready else 503), body


def summary(verdict: Verdict) -> dict[str, Any]:
    """Return the public body of ``verdict``."""
    status = verdict.status if verdict.is_ready else NOT_READY
    return {"status": status} | ({"reason": verdict.reason} if verdict.reason else {})


def _respond(request: HttpRequest, answer: Callable[[], Answer]) -> HttpResponse:
    if request.method not in ("GET", "HEAD"):
        return _Answer(status=405, headers={"Allow": "GET, HEAD"})
    try:
        status, body = answer()
    except Exception:
        FAULTS.labels("answer").inc()
        logger.exception("%s cannot be answered", request.path)
        status, body = 503, {"status": NOT_READY}
    return _Answer(
        json.dumps(body),
        status=status,
        content_type=JSON,
        headers={"Cache-Control": "no-store"},
    )
