"""What the page of backends shows of each: its state with the arithmetic, and its last results."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from health.conf import conf
from health.core import verdict_text
from health.core.backend import BackendHealth
from health.core.policy import Verdict
from health.overview import words
from health.results.ring import Result, read

STRIP = 40
"""How many of the last results of a backend are shown."""


def rows(verdict: Verdict) -> list[dict[str, Any]]:
    """Return what the page shows of each backend."""
    results = last_results(verdict.backends)
    found = []
    for name in by_state(verdict):
        b = verdict.backends[name]
        age = b.age(verdict.clock)
        strip = results.get(name, [])
        found.append(
            {
                "name": name,
                "state": b.state(verdict.clock),
                "since": _moment(b.since),
                "checked": "never" if age is None else f"{verdict_text.duration(age)} ago",
                "streak": streak(b),
                "next": next_probe(b, verdict.clock),
                "strip": [_box(result) for result in strip],
                "failed": sum(not result.healthy for result in strip),
                "latency": "-" if b.latency is None else words.seconds(b.latency),
                "scope": b.scope,
                "tags": ", ".join(b.tags),
                "error": b.error,
            }
        )
    return found


def by_state(verdict: Verdict) -> list[str]:
    """Return the names of the backends, those that are not healthy first."""
    order = ("unhealthy", "stale", "unknown", "healthy")
    states = {name: b.state(verdict.clock) for name, b in verdict.backends.items()}
    return sorted(states, key=lambda name: (order.index(states[name]), name))


def last_results(names: Iterable[str]) -> dict[str, list[Result]]:
    """Return each backend's last results, oldest first; none where this host does not probe."""
    given = list(names)
    if conf.run_dir is None or not given:
        return {}
    try:
        # one that is checked seldom may have fewer among them
        found = read(conf.run_dir, given, last=STRIP * len(given) * 2)
    except OSError:
        return {}
    return {name: results[-STRIP:] for name, results in found.items()}


def streak(b: BackendHealth) -> str:
    """Say how far the last checks in a row go towards another state."""
    if b.consecutive_failures:
        if b.healthy:
            return f"{b.consecutive_failures} of {b.fall} failures"
        return f"{b.consecutive_failures} failed"
    if b.consecutive_successes:
        if b.healthy:
            return f"{b.consecutive_successes} succeeded"
        return f"{b.consecutive_successes} of {b.rise} successes"
    return words.NONE


def next_probe(b: BackendHealth, clock: float) -> str:
    """Say when the next probe is due; nothing of one that is only reported."""
    config, age = conf.backends.get(b.name), b.age(clock)
    if config is None:
        return "reported"
    if age is None:
        return "no probe yet"
    left = (config.interval_in_doubt if b.in_doubt else config.interval) - age
    return f"next probe in {left:.0f} s" if left >= 0.5 else "next probe now"


def _box(result: Result) -> dict[str, str]:
    at = datetime.datetime.fromtimestamp(result.at, datetime.UTC)
    took = "" if result.latency is None else f" in {words.seconds(result.latency)}"
    word = "succeeded" if result.healthy else "failed"
    return {"state": "good" if result.healthy else "bad", "text": f"{at:%H:%M:%S} {word}{took}"}


def _moment(at: float | None) -> datetime.datetime | None:
    return None if at is None else datetime.datetime.fromtimestamp(at, datetime.UTC)
