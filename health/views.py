"""GET /health, /ready and /started: thin views over `health.readiness.assessment`."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from health.answers.error_access import may_see
from health.answers.formats import JSON, media_type
from health.answers.response import Answer, respond
from health.core import verdict_text
from health.core.policy import NOT_READY
from health.prober import autostart
from health.readiness.assessment import assess, current, has_started


@csrf_exempt  # other methods than a probe's get 405, wherever they come from
@login_not_required
def health(request: HttpRequest) -> HttpResponse:
    """Say that this process answers; no dependency is asked."""
    return respond(request, lambda: (200, {"status": "ok"}))


@csrf_exempt
@login_not_required
def ready(request: HttpRequest) -> HttpResponse:
    """Say whether traffic may come: 200 or 503.

    ``?verbose`` lists the backends; ``?exclude=NAME`` passes one over and
    ``?tag=NAME`` counts only those that carry it, each as often as wanted.
    """
    return respond(request, lambda: _readiness(request))


@csrf_exempt
@login_not_required
def started(request: HttpRequest) -> HttpResponse:
    """Say whether every configured backend was checked once: 200 or 503."""
    return respond(request, _start)


def _readiness(request: HttpRequest) -> Answer:
    autostart.ensure_looked()
    whole = not request.META.get("QUERY_STRING") and media_type(request) == JSON
    if whole:
        verdict = current()
    else:
        query = request.GET
        verdict = assess(exclude=query.getlist("exclude"), tags=query.getlist("tag"))
    body: dict[str, object] = {"status": verdict.status if verdict.is_ready else NOT_READY}
    if verdict.reason:
        body["reason"] = verdict.reason
    if not whole and ("verbose" in query or media_type(request) != JSON):
        details = may_see(request)
        body["age_seconds"] = None if verdict.age is None else round(verdict.age, 3)
        body["backends"] = {
            name: verdict_text.backend_as_dict(b, verdict.clock, details=details)
            for name, b in sorted(verdict.backends.items())
        }
    return (200 if verdict.is_ready else 503), body


def _start() -> Answer:
    autostart.ensure_looked()
    return (200, {"status": "started"}) if has_started() else (503, {"status": "starting"})
