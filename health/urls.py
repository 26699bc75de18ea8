"""URLs of the health endpoints: ``path("", include("health.urls"))``."""

from __future__ import annotations

from django.urls import path

from health import views

app_name = "sentinel_health"

urlpatterns = [
    path("health", views.health, name="health"),
    path("ready", views.ready, name="ready"),
    path("started", views.started, name="started"),
]
