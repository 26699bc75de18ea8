"""URLs of the health server: /health and /started tell of the application, the rest is as ever.

``include`` it last in a urlconf of your own to serve more, and name that in
SENTINEL_HEALTH_URLCONF.
"""

from __future__ import annotations

from django.urls import include, path

from health import server_views

urlpatterns = [
    path("health", server_views.health),
    path("started", server_views.started),
    path("", include("health.urls")),
    path("", include("metrics.urls")),
]
