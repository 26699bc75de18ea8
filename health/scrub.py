"""Takes secrets out of texts that people will see."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "***"
MAX_TEXT = 500
"""The longest error text that is kept."""

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/\s@'\"]*@")
_NAMED = re.compile(
    r"""(?ix)
    ( ["']? \b [\w-]* (?: password | passwd | pwd | secret | token | api[_-]?key | dsn ) ["']?
      \s* [=:] \s* )
    ( "[^"]*" | '[^']*' | [^\s,;&)\]}]+ )
    """
)
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` on one line, cut to `MAX_TEXT`, without what looks like a credential.

    ``secrets`` are values known to be secret; each is masked wherever it stands.
    """
    for secret in sorted({s for s in secrets if s}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _CREDENTIALS_IN_URL.sub(f"{MASK}@", text)
    text = _AUTHORIZATION.sub(rf"\1 {MASK}", text)
    text = _NAMED.sub(rf"\1{MASK}", text)
    text = " ".join(text.split())
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
