"""The gateway's five metric families on a registry of their own."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["METRICS", "REGISTRY", "Metrics", "Status"]

REGISTRY = CollectorRegistry()
"""The registry of ``METRICS``; never prometheus_client's default one."""


class Status(StrEnum):
    """How a tool call ended; also the values of ``error_type`` (but ``success``)."""

    SUCCESS = "success"
    ERROR = "error"
    KILLED = "killed"
    RATE_LIMITED = "rate_limited"
    DENIED = "denied"
    CIRCUIT_OPEN = "circuit_open"
    INVALID_ARGS = "invalid_args"


class Metrics:
    """The five ``sentinel_*`` families and the calls that record into them.

    Every method may be called from any thread, from sync and async code, before and
    after a fork.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.requests = Counter(
            "sentinel_requests_total",
            "Total number of tool requests",
            ["tool", "status"],
            registry=self.registry,
        )
        self.request_duration = Histogram(
            "sentinel_request_duration_seconds",
            "Duration of tool requests in seconds",
            ["tool"],
            registry=self.registry,
        )
        self.errors = Counter(
            "sentinel_errors_total",
            "Total number of tool requests that failed, by type of error",
            ["tool", "error_type"],
            registry=self.registry,
        )
        self.backend_healthy = Gauge(
            "sentinel_backend_healthy",
            "Whether a backend is healthy (1) or not (0)",
            ["backend"],
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self.rate_limit_hits = Counter(
            "sentinel_rate_limit_hits_total",
            "Total number of tool requests turned away by a rate limit",
            ["tool"],
            registry=self.registry,
        )

    def record_request(self, tool: str, status: str, duration_secs: float) -> None:
        """Count a request, observe how long it took, and count an error unless it succeeded.

        ``status`` is one of `Status`; ``duration_secs`` is in seconds, finite and
        not negative. Raises ValueError for anything else.
        """
        if not 0.0 <= duration_secs < float("inf"):
            raise ValueError(
                f"duration_secs must be a finite number of seconds, 0 or more, not {duration_secs!r}"
            )
        if status not in Status:
            raise ValueError(f"status must be one of {', '.join(Status)}, not {status!r}")
        self.requests.labels(tool, status).inc()
        self.request_duration.labels(tool).observe(duration_secs)
        if status != Status.SUCCESS:
            self.errors.labels(tool, status).inc()

    def record_rate_limit_hit(self, tool: str) -> None:
        """Count a call of ``tool`` that a rate limit turned away."""
        self.rate_limit_hits.labels(tool).inc()

    def set_backend_health(self, backend: str, healthy: bool) -> None:
        """Set the gauge of ``backend`` to 1.0 (healthy) or 0.0."""
        self.backend_healthy.labels(backend).set(1.0 if healthy else 0.0)

    def gather_text(self) -> str:
        """Return the families in the text format 0.0.4."""
        return generate_latest(self.registry).decode()


METRICS = Metrics(REGISTRY)
