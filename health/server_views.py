"""GET /health and /started on the health server's port: whether the application lives."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from health import views, workers
from health.answers import Answer, respond
from health.workers import Condition


def health(request: HttpRequest) -> HttpResponse:
    """Answer 200 while the application lives, else 503 with the reason.

    It is not asked: its lanes in the shared store tell. ``?verbose`` shows what the
    workers are doing; saturated is not dead. Without a shared store nothing is known
    of it, and the answer is 200.
    """
    return respond(request, lambda: _liveness(verbose="verbose" in request.GET))


def started(request: HttpRequest) -> HttpResponse:
    """Answer 200 once an application worker was seen and every backend was checked, else 503."""
    application = workers.observe()
    if application is not None and not application.workers:
        return respond(request, lambda: (503, {"status": "starting"}))
    return views.started(request)


def _liveness(*, verbose: bool) -> Answer:
    application = workers.observe()
    if application is None:
        return 200, {"status": "ok"}
    trouble = application.trouble
    body: dict[str, Any] = {"status": "ok"}
    if trouble is not None:
        body = {"status": "dead", "reason": trouble}
    if verbose:
        body |= {
            "saturated": application.is_saturated,
            "workers": {str(c): application.count(c) for c in Condition},
            "requests_in_progress": application.requests_in_progress,
            "oldest_request_seconds": round(application.oldest_request_seconds, 3),
        }
    return 200 if trouble is None else 503, body
