"""URLs of the health server's port: nothing but the health endpoints and the metrics."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
