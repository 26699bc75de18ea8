"""The setting SENTINEL_WEBHOOK, checked and in types."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

from health.conf.values import is_seconds

SETTING = "SENTINEL_WEBHOOK"


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
    known = {"URL": "", "HEADERS": {}, "MIN_SECONDS": 60, "TIMEOUT": 5}
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(
            f"{SETTING} must be None or a dictionary with URL, of {', '.join(known)}"
        )
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
    parts = _parts(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImproperlyConfigured(
            f"{SETTING}['URL'] must begin with http:// or https:// and name a host"
        )
    if parts.username is not None:
        raise ImproperlyConfigured(
            f"{SETTING}['URL'] must not hold credentials; give an Authorization header in HEADERS"
        )


def _parts(url: Any) -> SplitResult | None:
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # only this raises for one that there cannot be
    except ValueError:
        return None
    return parts
