"""GET /health, /ready and /started: thin views over `health.readiness.assessment`."""

from __future__ import annotations

import time

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from health.answers.error_access import may_see
from health.answers.formats import JSON, media_type
from health.answers.response import Answer, PlainAnswer, respond, respond_quickly
from health.core import verdict_text
from health.core.policy import NOT_READY, STALE
from health.prober import autostart
from health.readiness.assessment import assess, current, has_started

FIRST_LOOK_SECONDS = 0.5
"""How long the first answer of a process may wait for the checks that it set off."""


@csrf_exempt  # other methods than a probe's get 405, wherever they come from
@login_not_required
def health(request: HttpRequest) -> HttpResponse:
    """Say that this process answers; no dependency is asked."""
    quick = respond_quickly(request, lambda: (200, "ok", None))
    return quick or respond(request, lambda: (200, {"status": "ok"}))


@csrf_exempt
@login_not_required
def ready(request: HttpRequest) -> HttpResponse:
    """Say whether traffic may come: 200 or 503.

    ``?verbose`` lists the backends; ``?exclude=NAME`` passes one over and
    ``?tag=NAME`` counts only those that carry it, each as often as wanted.
    """
    return respond_quickly(request, _plain_readiness) or respond(
        request, lambda: _readiness(request)
    )


@csrf_exempt
@login_not_required
def started(request: HttpRequest) -> HttpResponse:
    """Say whether every configured backend was checked once: 200 or 503."""
    return respond(request, _start)


def _watch() -> None:
    """Have the backends probed; who asks first in this process waits a little for what comes.

    Else the first answer of a service would be 503, and the next look at it seconds away.
    """
    if autostart.ensure_started():
        deadline = time.monotonic() + FIRST_LOOK_SECONDS
        while not (has_started() and current().reason != STALE):
            if time.monotonic() >= deadline:
                break
            time.sleep(0.005)


def _plain_readiness() -> PlainAnswer:
    _watch()
    verdict = current()
    word = verdict.status if verdict.is_ready else NOT_READY
    return (200 if verdict.is_ready else 503), word, verdict.reason


def _readiness(request: HttpRequest) -> Answer:
    _watch()
    query = request.GET
    verdict = assess(exclude=query.getlist("exclude"), tags=query.getlist("tag"))
    body: dict[str, object] = {"status": verdict.status if verdict.is_ready else NOT_READY}
    if verdict.reason:
        body["reason"] = verdict.reason
    if "verbose" in query or media_type(request) != JSON:
        details = may_see(request)
        body["age_seconds"] = None if verdict.age is None else round(verdict.age, 3)
        body["backends"] = {
            name: verdict_text.backend_as_dict(b, verdict.clock, details=details)
            for name, b in sorted(verdict.backends.items())
        }
    return (200 if verdict.is_ready else 503), body


def _start() -> Answer:
    _watch()
    return (200, {"status": "started"}) if has_started() else (503, {"status": "starting"})
