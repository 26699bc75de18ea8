"""Probes for tests, and what one check of a probe says."""

from __future__ import annotations

import time
from typing import Any

from django.test import override_settings

from health.checks import check_backends, check_doubtful_backends
from health.prober.outcome import describe
from health.prober.pool import Run
from health.probes import Probe


def always_well() -> None:
    """Be a backend that is always well."""


TIMEOUT = 5.0


def outcome(probe: Probe, timeout: float = TIMEOUT) -> str | None:
    """Return what the prober would say of one check: None when the backend is well."""
    run = Run("b", probe, timeout)
    started = time.monotonic()
    try:
        probe.check(timeout)
        run.error = None
    except Exception as e:  # noqa: BLE001 - as the pool does
        run.error = e
    run.seconds = time.monotonic() - started
    return describe(run)


def doubts(probe: Any, **options: Any) -> list[str]:
    """Return what ``manage.py check`` warns of, after the backend's path."""
    with override_settings(SENTINEL_BACKENDS={"b": {"PROBE": probe, "OPTIONS": options}}):
        found = check_doubtful_backends()
    assert all(message.id == "sentinel_health.W008" for message in found)
    return [message.msg.removeprefix("SENTINEL_BACKENDS['b']: ") for message in found]


def refusals(probe: Any, **options: Any) -> list[str]:
    """Return what ``manage.py check`` refuses, after the backend's path."""
    with override_settings(SENTINEL_BACKENDS={"b": {"PROBE": probe, "OPTIONS": options}}):
        found = check_backends()
    assert all(message.id == "sentinel_health.E002" for message in found)
    return [message.msg.removeprefix("SENTINEL_BACKENDS['b']") for message in found]
