"""URLs of the health endpoints: ``path("", include("health.urls"))``.

/health, /ready and /started, or the last part of what SENTINEL_PATHS says.
"""

from __future__ import annotations

from health.middleware import VIEWS
from metrics.endpoints import patterns

app_name = "sentinel_health"

urlpatterns = [pattern for name, view in VIEWS.items() for pattern in patterns(name, view)]
