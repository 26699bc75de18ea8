"""The registry of the service's own metrics; scrapes show it beside the client's default one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from metrics.shared import share

REGISTRY = share(CollectorRegistry())
"""The registry of ``metrics.registry.METRICS``; never prometheus_client's default one."""
