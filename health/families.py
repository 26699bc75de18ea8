"""The families of the prober, beside the gateway's on the same registry."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from metrics import shared
from metrics.registries import REGISTRY

# As many series as backends are configured, or as there are things to do.
shared.exempt(
    "sentinel_backend_probe_duration_seconds",
    "sentinel_backend_transitions_total",
    "sentinel_backend_last_probe_timestamp_seconds",
    "sentinel_prober_abandoned_probes_total",
    "sentinel_health_faults_total",
)
PROBE_DURATION = Histogram(
    "sentinel_backend_probe_duration_seconds",
    "Duration of probes of a backend in seconds",
    ["backend"],
    unit="seconds",
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
TRANSITIONS = Counter(
    "sentinel_backend_transitions_total",
    "Total number of changes of a backend's state",
    ["backend", "to"],
    registry=REGISTRY,
)
LAST_PROBE = Gauge(
    "sentinel_backend_last_probe_timestamp_seconds",
    "When a backend was last probed, in Unix seconds",
    ["backend"],
    unit="seconds",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
PROBER_LAG = Gauge(
    "sentinel_prober_lag_seconds",
    "How late the latest probes were started, in seconds",
    unit="seconds",
    registry=REGISTRY,
    multiprocess_mode="livemostrecent",
)
HUNG_PROBES = Gauge(
    "sentinel_prober_hung_probes",
    "Number of probes that were given up and have not returned yet",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
ABANDONED_PROBES = Counter(
    "sentinel_prober_abandoned_probes_total",
    "Total number of probes that were given up because they did not return in time",
    ["backend"],
    registry=REGISTRY,
)
FAULTS = Counter(
    "sentinel_health_faults_total",
    "Total number of faults of the health checks themselves, by what was being done",
    ["doing"],
    registry=REGISTRY,
)
