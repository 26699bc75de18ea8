"""A trivial view, and django-health-check's with one database check."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path


def trivial(request: HttpRequest) -> HttpResponse:
    """Answer at once."""
    return HttpResponse("ok", content_type="text/plain")


urlpatterns: list[URLPattern] = [path("trivial", trivial)]
if settings.SIDE == "peer":
    from health_check.views import HealthCheckView

    view = HealthCheckView.as_view(checks=["health_check.checks.Database"])
    urlpatterns.append(path("peer", view, name="peer"))
