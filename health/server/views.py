"""GET /health and /started on the health server's port: whether the application lives."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from health import views
from health.answers.response import Answer, respond
from health.application import watch
from health.application.workers import SHOWN, Application
from health.board import BOARD
from health.board.stores.base import Reach

BLIND = "the run directory does not show what the workers are doing"


def health(request: HttpRequest) -> HttpResponse:
    """Answer 200 while the application lives, else 503 with the reason.

    It is not asked: its lanes in the shared store tell. ``?verbose`` shows what the
    workers are doing, null where that is unknown; saturated is not dead. Where
    nothing is known of it the answer is 200.
    """
    return respond(request, lambda: _liveness(verbose="verbose" in request.GET))


def started(request: HttpRequest) -> HttpResponse:
    """Answer 200 once there was an application worker and every backend was checked, else 503.

    Without a run directory that can be used no check is known, and none is waited for.
    """
    application = watch.observe()
    if application is not None and not application.has_started:
        return respond(request, lambda: (503, {"status": "starting"}))
    if application is not None and application.unseen_life and BOARD.reach is not Reach.HOSTS:
        return respond(request, lambda: (200, {"status": "started"}))
    return views.started(request)


def _liveness(*, verbose: bool) -> Answer:
    application = watch.observe()
    if application is None:
        return 200, {"status": "ok"}
    trouble = application.trouble
    body: dict[str, Any] = {"status": "ok"}
    if trouble is not None:
        body = {"status": "dead", "reason": trouble}
    if verbose:
        body |= _details(application)
    return 200 if trouble is None else 503, body


def _details(application: Application) -> dict[str, Any]:
    if application.is_blind:
        known = ("saturated", "workers", "requests_in_progress", "oldest_request_seconds")
        return {"unknown": BLIND} | dict.fromkeys(known)
    return {
        "saturated": application.is_saturated,
        "workers": {str(c): application.count(c) for c in SHOWN},
        "requests_in_progress": application.requests_in_progress,
        "oldest_request_seconds": round(application.oldest_request_seconds, 3),
    }
