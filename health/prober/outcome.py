"""What a check showed, in words without secrets, and the probe of a backend."""

from __future__ import annotations

import logging

from health.conf.backends import BackendConfig
from health.prober.pool import Run
from health.probes import Probe, ProbeError, build
from health.redact import redact

logger = logging.getLogger(__name__)


def describe(run: Run) -> str | None:
    """Return in words, without secrets, why a check that returned was a failure, or None."""
    if run.error is None:
        if run.seconds <= run.timeout:
            return None
        return f"answered after {run.seconds:.3g} s, {run.timeout:g} s are allowed"
    name = type(run.error).__name__
    try:
        text = str(run.error)
        if not isinstance(run.error, ProbeError):
            text = f"{name}: {text}" if text else name
        return redact(text, run.probe.secrets())
    except Exception:  # noqa: BLE001 - an error may be somebody's that cannot tell of itself
        return name


class _Unbuildable(Probe):
    """Stands in for a probe that could not be made, and says why each time."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def check(self, timeout: float) -> None:
        raise ProbeError(f"the probe cannot be made: {self._error}")


def make_probe(config: BackendConfig) -> Probe:
    """Return the probe of ``config``; one that cannot be made fails each check and says why."""
    try:
        return build(config)
    except Exception as e:  # noqa: BLE001 - one wrong backend must not end the others' checks
        logger.error("backend %s cannot be probed: %s", config.name, e)
        return _Unbuildable(e)
