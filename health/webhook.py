"""Tells somebody outside that a backend fell ill, and that it recovered.

A message a change at most, and no more than one in a set time for each backend: what
flaps in between is not told, but where it ended is.
"""

from __future__ import annotations

import datetime
import itertools
import json
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3
from django.core.exceptions import ImproperlyConfigured

from health.config import is_seconds
from health.scrub import scrub, secrets_in
from health.state import BackendHealth

SETTING = "SENTINEL_WEBHOOK"


class WebhookError(Exception):
    """The receiver did not take the message."""


@dataclass(frozen=True)
class WebhookConfig:
    """Where messages go. Times are in seconds; the URL and headers may hold secrets."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    min_seconds: float = 60.0
    timeout: float = 5.0


def parse(value: Any) -> WebhookConfig | None:
    """Return what the setting says; None for None. Raises ImproperlyConfigured."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"{SETTING} must be None or a dictionary")
    known = {"URL": "", "HEADERS": {}, "MIN_SECONDS": 60, "TIMEOUT": 5}
    for key in value:
        if key not in known:
            raise ImproperlyConfigured(
                f"{SETTING}[{key!r}] is no option; there are {', '.join(known)}"
            )
    get = {**known, **value}
    _demand_url(get["URL"])
    words = itertools.chain(*get["HEADERS"].items()) if isinstance(get["HEADERS"], Mapping) else [0]
    if not all(isinstance(word, str) and word.isprintable() for word in words):
        raise ImproperlyConfigured(
            f"{SETTING}['HEADERS'] must be a dictionary of printable text to printable text"
        )
    for key, least in (("MIN_SECONDS", 0.0), ("TIMEOUT", 0.001)):
        if not is_seconds(get[key]) or get[key] < least:
            raise ImproperlyConfigured(
                f"{SETTING}[{key!r}] must be a number of seconds, {least:g} or more"
            )
    return WebhookConfig(
        get["URL"], dict(get["HEADERS"]), float(get["MIN_SECONDS"]), float(get["TIMEOUT"])
    )


def _demand_url(url: Any) -> None:
    """Refuse what is no address to send to, without showing it: it may be the secret."""
    try:
        parts = urllib3.util.parse_url(url) if isinstance(url, str) and url.isprintable() else None
    except urllib3.exceptions.LocationParseError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.host:
        raise ImproperlyConfigured(
            f"{SETTING}['URL'] must begin with http:// or https:// and name a host"
        )
    if parts.auth is not None:
        raise ImproperlyConfigured(
            f"{SETTING}['URL'] must not hold credentials; give an Authorization header in HEADERS"
        )


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
    try:
        with urllib3.PoolManager(retries=False) as manager:
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
        raise WebhookError(scrub(str(e), secrets_in(WebhookConfig, vars(config)))) from e
    if response.status // 100 != 2:
        raise WebhookError(f"the webhook answered with status {response.status}")
