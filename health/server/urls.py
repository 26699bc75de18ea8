"""URLs of the health server: /health and /started tell of the application, the rest is as ever.

SENTINEL_PATHS holds for them as it does on the application's port.

``include`` it last in a urlconf of your own to serve more, and name that in
SENTINEL_HEALTH_URLCONF.
"""

from __future__ import annotations

from health.server import views
from health.views import ready
from metrics.endpoints import patterns
from metrics.views import metrics

urlpatterns = [
    *patterns("health", views.health, whole=True),
    *patterns("ready", ready, whole=True),
    *patterns("started", views.started, whole=True),
    *patterns("metrics", metrics, whole=True),
]
