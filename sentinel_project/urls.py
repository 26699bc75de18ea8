"""URLs of the application's port."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from sentinel_project import gateway

urlpatterns = [
    path("", include("health.urls")),
    path("admin/", admin.site.urls),
    path("", include("metrics.urls")),
]

if settings.DEMO:
    urlpatterns.append(path("", include(gateway)))
