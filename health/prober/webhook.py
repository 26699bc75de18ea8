"""Tells somebody outside that a backend fell ill, and that it recovered.

A message a change at most, and no more than one in a set time for each backend: what
flaps in between is not told, but where it ended is.
"""

from __future__ import annotations

import datetime
import json
import platform
import time
from collections.abc import Iterable
from typing import Any

from health.conf.webhook import WebhookConfig
from health.core.backend import BackendHealth
from health.redact import redact, secrets_in
from metrics.own_calls import own_calls


class WebhookError(Exception):
    """The receiver did not take the message."""


class Webhook:
    """Remembers when it told what of which backend."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def tell(self, backends: Iterable[BackendHealth], config: WebhookConfig) -> dict[str, bool]:
        """Send what is to be told now, and return the state that was told of each backend.

        A backend is told when its state is another than the one told last. Raises
        WebhookError when the first message does not arrive.
        """
        told: dict[str, bool] = {}
        for backend in backends:
            if backend.healthy is None or backend.healthy is backend.told:
                continue
            now = time.monotonic()
            if now - self._last.get(backend.name, -config.min_seconds) < config.min_seconds:
                continue
            try:
                _send(config, _message(backend))
            except WebhookError:
                if not told:
                    raise
                break  # what did arrive must not be sent again
            self._last[backend.name] = now
            told[backend.name] = backend.healthy
        return told


def _message(backend: BackendHealth) -> dict[str, Any]:
    return {
        "backend": backend.name,
        "status": "healthy" if backend.healthy else "unhealthy",
        "since": _iso(backend.since),
        "last_check": _iso(backend.last_check),
        "consecutive_failures": backend.consecutive_failures,
        "error": backend.error,
        "host": platform.node(),
    }


def _iso(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="seconds")


def _send(config: WebhookConfig, message: dict[str, Any]) -> None:
    import urllib3  # not in a process that tells nobody

    try:
        with own_calls(), urllib3.PoolManager(retries=False) as manager:
            response = manager.request(
                "POST",
                config.url,
                body=json.dumps(message).encode(),
                headers={"Content-Type": "application/json", **config.headers},
                timeout=urllib3.Timeout(total=config.timeout),
                redirect=False,
                preload_content=False,
            )
            response.close()
    except (urllib3.exceptions.HTTPError, OSError) as e:
        raise WebhookError(redact(str(e), secrets_in(WebhookConfig, vars(config)))) from e
    if response.status // 100 != 2:
        raise WebhookError(f"the webhook answered with status {response.status}")
