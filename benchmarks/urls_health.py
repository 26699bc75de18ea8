"""What ours is compared with: a trivial view, django-health-check's, and the least there is."""

from __future__ import annotations

import os

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path


def trivial(request: HttpRequest) -> HttpResponse:
    """Answer at once."""
    return HttpResponse("ok", content_type="text/plain")


class LeastMiddleware:
    """Answers everything by one object: what is left is Django's own work for a request."""

    def __init__(self, get_response: object) -> None:
        self.answer = HttpResponse(
            b'{"status": "ready"}',
            content_type="application/json",
            headers={"Cache-Control": "no-store", "Vary": "Accept"},
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer at once."""
        closers: list[object] = vars(self.answer)["_resource_closers"]
        closers.clear()
        return self.answer


urlpatterns: list[URLPattern] = [path("trivial", trivial)]
if os.environ["SENTINEL_BENCH_SIDE"] == "peer":
    from health_check.views import HealthCheckView

    view = HealthCheckView.as_view(checks=["health_check.checks.Database"])
    urlpatterns.append(path("peer", view, name="peer"))
