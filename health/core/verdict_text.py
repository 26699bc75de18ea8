"""A verdict in words: JSON and a table, for the commands.

Only the standard library is imported here, so that ``sentinel-health`` starts quickly.
"""

from __future__ import annotations

from health.core.backend import BackendHealth
from health.core.policy import NOT_READY, READY, UNKNOWN, Verdict
from health.core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

EXIT_CODES = {READY: 0, NOT_READY: 1, UNKNOWN: 2}


def backend_as_dict(backend: BackendHealth, clock: float, *, details: bool) -> dict[str, Any]:
    """Return what is known of a backend; the error's text only with ``details``.

    Times are Unix seconds, ages and latencies seconds. Only what is fresh is healthy.
    """
    age = backend.age(clock)
    state = backend.state(clock)
    known: dict[str, Any] = {
        "healthy": state == "healthy",
        "state": state,
        "last_check": backend.last_check,
        "age_seconds": None if age is None else round(age, 3),
        "consecutive_failures": backend.consecutive_failures,
        "consecutive_successes": backend.consecutive_successes,
        "latency": backend.latency,
        "since": backend.since,
        "scope": backend.scope,
        "tags": list(backend.tags),
    }
    return known | ({"error": backend.error} if details else {})


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict with all details, as ``health_status --format json`` prints it."""
    return {
        "status": verdict.status,
        "reason": verdict.reason,
        "age_seconds": None if verdict.age is None else round(verdict.age, 3),
        "backends": {
            name: backend_as_dict(b, verdict.clock, details=True)
            for name, b in sorted(verdict.backends.items())
        },
    }


def as_json(verdict: Verdict) -> str:
    """Return `as_dict` as JSON."""
    import json

    return json.dumps(as_dict(verdict), indent=2)


def as_table(verdict: Verdict) -> str:
    """Return a line with the verdict, and one for each backend."""
    head = verdict.status.replace("_", " ") + (f" ({verdict.reason})" if verdict.reason else "")
    rows = [("BACKEND", "STATE", "FOR", "CHECKED", "FAILURES", "LATENCY", "ERROR")]
    for name, b in sorted(verdict.backends.items()):
        lasts = None if b.since is None or b.last_check is None else b.last_check - b.since
        age = b.age(verdict.clock)
        rows.append(
            (
                name,
                b.state(verdict.clock),
                "-" if lasts is None or age is None else duration(max(0.0, lasts) + age),
                "never" if age is None else f"{duration(age)} ago",
                str(b.consecutive_failures),
                "-" if b.latency is None else f"{b.latency * 1000:.1f} ms",
                b.error or "",
            )
        )
    if len(rows) == 1:
        return head
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([head, "", *lines])


def duration(seconds: float) -> str:
    """Return ``seconds`` in the one or two units that people would use."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
