"""Bounds of labels whose values somebody else chooses: beyond them a value is ``_OTHER``."""

from __future__ import annotations

OTHER = "_OTHER"
METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
"""HTTP's methods, as OpenTelemetry lists them."""


class FirstOnes:
    """Lets the first values pass that this process sees; any other is ``_OTHER``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        """Return ``value`` or ``_OTHER``; threads at the same moment may add one too many."""
        if value in self._seen:
            return value
        if len(self._seen) >= self._most:
            return OTHER
        self._seen.add(value)
        return value
