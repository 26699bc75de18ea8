"""URLs of the health server's port: nothing but the health endpoints and the metrics."""

from health.server.urls import urlpatterns

__all__ = ["urlpatterns"]
