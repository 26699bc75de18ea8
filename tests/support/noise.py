"""Random text for requests, and how many of them to send."""

from __future__ import annotations

import base64
import os
import random

REQUESTS = int(os.environ.get("SENTINEL_FUZZ_REQUESTS", "4000"))
"""How many random requests to send; 100,000 take some minutes."""


WORDS = [
    "text/plain",
    "application/openmetrics-text",
    "*/*",
    "version=1.0.0",
    "version=0.0.4",
    "escaping=allow-utf-8",
    "q=0.5",
    "q=0",
    "gzip",
    "identity",
    "Bearer token",
    "Basic",
    base64.b64encode(b"user:password").decode(),
    "10.0.0.1",
    "::1",
    "name[]",
    "name%5B%5D",
    "sentinel_scrapes_total",
    "created=1",
    "%00",
    "%ff",
    "%ud800",
    "\xff\xfe",
    "\x00",
    "\r\n",
    "1e400",
    "nan",
    "-1",
    ",",
    ";",
    "=",
    "&",
    '"',
    "\\",
    " ",
    "\t",
    "",
]


def noise(source: random.Random) -> str:
    """Return a text that begins to look like something."""
    words = [source.choice(WORDS) for _ in range(source.randrange(8))]
    words += [chr(source.randrange(256)) for _ in range(source.randrange(3))]
    source.shuffle(words)
    return "".join(words) * (200 if source.random() < 0.002 else 1)
