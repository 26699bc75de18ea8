"""Spell values, timestamps and exemplars."""

from __future__ import annotations

import re
from math import isfinite, nan

from prometheus_client.samples import Exemplar, Timestamp
from prometheus_client.utils import floatToGoString

from metrics.exposition._names import escape_value, label_name, made_unique, safe
from metrics.exposition._negotiation import Escaping

EXEMPLAR_LIMIT = 128
"""Characters that the labels of an exemplar may have together (OpenMetrics 1.0.0)."""

_QUOTING = re.compile(r'\\(.)|"', re.DOTALL)


def spell(value: float) -> str:
    """Write a value so that it parses back to the same float."""
    if isfinite(value):
        return repr(value)
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"


def spell_bound(text: str) -> str:
    """Write the value of an ``le`` or ``quantile`` label in its canonical form.

    OpenMetrics wants 1.0 where some write 1; one form for all formats keeps a series
    the same series whatever the format of the day. Raises ValueError.
    """
    value = float(text)
    if value != value:
        raise ValueError("a bound must not be NaN")
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]  # has no annotations


def seconds(timestamp: float | Timestamp) -> float:
    """Return a timestamp as unix seconds; NaN when it is none."""
    try:
        return float(timestamp)
    except (TypeError, ValueError, OverflowError):
        return nan


def timestamp_text(timestamp: float | Timestamp, openmetrics: bool) -> str:
    """Write a timestamp with a space before it: seconds, or milliseconds as Prometheus'.

    One that no 64-bit number of milliseconds can hold gives nothing.
    """
    value = seconds(timestamp)
    if not -(2.0**63) < value * 1000 < 2.0**63:
        return ""
    if isinstance(timestamp, Timestamp) and timestamp.sec >= 0:
        if openmetrics:
            return f" {timestamp.sec}.{timestamp.nsec:09d}"
        return f" {timestamp.sec * 1000 + timestamp.nsec // 1_000_000}"
    return f" {value!r}" if openmetrics else f" {int(value * 1000)}"


def exemplar_text(exemplar: Exemplar, escaping: Escaping) -> str:
    """Write an exemplar with the space before it; nothing if it breaks OpenMetrics' rules."""
    pairs: list[tuple[str, str]] = []
    length = 0
    for name, key in sorted((label_name(key, escaping), key) for key in exemplar.labels):
        value = exemplar.labels[key]
        pairs.append((name, f'{name}="{escape_value(value)}"'))
        length += len(safe(value))
    pairs = made_unique(pairs)
    # A parser counts what it has read: names as the scheme has them, without their quotes.
    length += sum(len(_QUOTING.sub(r"\1", name)) for name, _ in pairs)
    if length > EXEMPLAR_LIMIT:
        return ""
    labels = ",".join([text for _, text in pairs])
    when = "" if exemplar.timestamp is None else timestamp_text(exemplar.timestamp, True)
    return f" # {{{labels}}} {spell(float(exemplar.value))}{when}"
