"""The URLs of the health server, under the name that a urlconf of one's own includes."""

from health.server.urls import urlpatterns

__all__ = ["urlpatterns"]
