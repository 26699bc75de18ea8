"""Takes secrets out of texts that people will see."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

MASK = "***"
MIN_SECRET = 4
"""The shortest text that counts as a secret: a shorter one stands in half of all words."""

MAX_TEXT = 500
"""The longest error text that is kept."""

MAX_LOOKED_AT = 5000
"""How much of a text is looked into: a backend may have written it, as long as it liked."""

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/\s@'\"]*@")
_NAMED = re.compile(
    r"""(?ix)
    ( ["']? (?<![\w-]) [\w-]*?
      (?: password | passwd | pwd | secret | token | api[_-]?key | dsn ) ["']? \s* [=:] \s* )
    ( "[^"]*" | '[^']*' | [^\s,;&)\]}]+ )
    """
)
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` on one line, cut to `MAX_TEXT`, without what looks like a credential.

    ``secrets`` are values known to be secret; each is masked wherever it stands. What
    cannot be printed, and what no database would take, becomes a question mark.
    """
    longest_first = sorted({s for s in secrets if s}, key=len, reverse=True)
    is_cut = len(text) > MAX_LOOKED_AT
    text = text[:MAX_LOOKED_AT]
    for secret in longest_first:
        text = text.replace(secret, MASK)
    if is_cut and longest_first:
        text = text[: -len(longest_first[0])]  # the half of a secret may stand at the cut
    text = _CREDENTIALS_IN_URL.sub(f"{MASK}@", text)
    text = _AUTHORIZATION.sub(rf"\1 {MASK}", text)
    text = _NAMED.sub(rf"\1{MASK}", text)
    text = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def secrets_in(cls: Any, options: Mapping[str, object]) -> Iterator[str]:
    """Yield the secret strings in ``options``: those of the fields of ``cls`` without ``repr``."""
    for f in dataclasses.fields(cls):
        if not f.repr and f.name in options:
            yield from (s for s in _strings(options[f.name]) if len(s) >= MIN_SECRET)


def _strings(value: object) -> Iterator[str]:
    """Yield every string in ``value``, and those of its parts that errors quote alone."""
    if isinstance(value, str):
        yield value
        yield from value.split()  # "Bearer …"
        if "://" in value:
            yield from _parts_of_url(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _strings(item)


def _parts_of_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:  # what is no URL has no parts
        return
    yield from (parts.password or "", parts.path, *parts.path.split("/"))
    yield from (word for _, word in parse_qsl(parts.query))
