"""Choose the format and the compression of a scrape from the request's headers.

Follows RFC 9110 (12.5.1 Accept, 12.5.3 Accept-Encoding) and Prometheus' page
"Scrape protocol content negotiation". No header, however malformed, raises, and no
part of one is ever repeated in an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Escaping(StrEnum):
    """How names outside ``[a-zA-Z0-9_:]`` are written (Prometheus' escaping schemes)."""

    UNDERSCORES = "underscores"
    ALLOW_UTF8 = "allow-utf-8"
    DOTS = "dots"
    VALUES = "values"


_SCHEMES = {scheme.value: scheme for scheme in Escaping} | {
    "allow-utf8": Escaping.ALLOW_UTF8  # as an early edition of Prometheus' page spelled it
}


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a scrape: media type, version and escaping of names."""

    media_type: str
    version: str
    escaping: Escaping = Escaping.UNDERSCORES

    @property
    def is_openmetrics(self) -> bool:
        """Whether OpenMetrics' rules apply, and not those of Prometheus' text format."""
        return self.media_type == _OPENMETRICS

    @property
    def content_type(self) -> str:
        """The whole Content-Type; ``escaping`` from version 1.0.0 on, as specified."""
        head = f"{self.media_type}; version={self.version}; charset=utf-8"
        return head if self.version == "0.0.4" else f"{head}; escaping={self.escaping}"


_OPENMETRICS = "application/openmetrics-text"
_TEXT = "text/plain"

TEXT_0_0_4 = Format(_TEXT, "0.0.4")
"""What everybody understands: the answer when nothing else is asked for."""
TEXT_1_0_0 = Format(_TEXT, "1.0.0")
OPENMETRICS_1_0_0 = Format(_OPENMETRICS, "1.0.0")

# In the order in which we prefer them when the client does not care.
_FORMATS = (
    TEXT_0_0_4,
    *(Format(_OPENMETRICS, "1.0.0", scheme) for scheme in Escaping),
    *(Format(_TEXT, "1.0.0", scheme) for scheme in Escaping),
)


@lru_cache(maxsize=64)
def negotiate(accept: str | None) -> Format:
    """Return the format that an Accept header asks for.

    The weight of each format is that of the most specific range that matches it
    (RFC 9110, 12.5.1). Of equal weights the more specific range wins, then the one
    that comes first, then our own preference, which is text 0.0.4. Nothing
    acceptable, no header or a broken one mean text 0.0.4 as well: a scraper can use
    that, and can do nothing with a 406.
    """
    ranges = list(_media_ranges(accept or ""))
    best, best_rank = TEXT_0_0_4, (0.0, -1, 0)
    for candidate in _FORMATS:
        matches = [
            (specificity, weight, -place)
            for place, (media, params, weight) in enumerate(ranges)
            if (specificity := _specificity(media, params, candidate)) is not None
        ]
        if matches:
            specificity, weight, place = max(matches)
            if weight > 0 and (weight, specificity, place) > best_rank:
                best, best_rank = candidate, (weight, specificity, place)
    return best


@lru_cache(maxsize=64)
def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether the client would rather have gzip than nothing (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for coding, _, weight in _elements(accept_encoding or ""):
        name = "gzip" if coding == "x-gzip" else coding
        weights[name] = max(weight, weights.get(name, 0.0))
    rest = weights.get("*")
    gzip = weights.get("gzip", rest or 0.0)
    identity = weights.get("identity", rest or 0.0)
    return gzip > 0 and gzip >= identity


def _specificity(media: str, params: dict[str, str], candidate: Format) -> int | None:
    """Say how closely a media range matches a format; None where it does not.

    The parameters of a wildcard tell nothing: versions and escaping schemes are those
    of one media type, and none is named.
    """
    if media == "*/*":
        return 0
    if media == candidate.media_type.partition("/")[0] + "/*":
        return 4
    if media != candidate.media_type:
        return None
    specificity = 8
    if (version := params.get("version")) is not None:
        if version != candidate.version:
            return None
        specificity += 2
    if (asked := params.get("escaping")) is not None and candidate.version != "0.0.4":
        if _SCHEMES.get(asked.lower(), Escaping.UNDERSCORES) != candidate.escaping:
            return None
        specificity += 1
    return specificity


def _media_ranges(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for media, params, weight in _elements(header):
        if "/" in media:
            yield media, params, weight
        elif media == "*":  # what Java's URLConnection sends for */*
            yield "*/*", params, weight


# A comma or a semicolon inside a quoted string separates nothing. A quoted string that
# does not end goes on to the end of the header, so no alternative fails once it has
# begun, nothing is tried twice, and time is linear in the length.
_PIECE = re.compile(r'(?:[^",;]|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))++|[,;]', re.DOTALL)
_WEIGHT = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)


def _elements(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Split a list header into (value, parameters, weight); leave out broken weights."""
    element: list[str] = [""]
    for piece in [*_PIECE.findall(header), ","]:
        if piece == ",":
            parsed = _element(element)
            if parsed is not None:
                yield parsed
            element = [""]
        elif piece == ";":
            element.append("")
        else:
            element[-1] += piece


def _element(parts: list[str]) -> tuple[str, dict[str, str], float] | None:
    value = parts[0].strip().lower()
    params: dict[str, str] = {}
    for part in parts[1:]:
        name, equals, text = part.partition("=")
        if equals:
            params.setdefault(name.strip().lower(), _unquote(text.strip()))
    weight = params.pop("q", "1")
    if not value or not _WEIGHT.fullmatch(weight):
        return None
    return value, params, min(float(weight), 1.0)


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text
