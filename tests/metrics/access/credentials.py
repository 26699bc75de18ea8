"""Credentials of requests, and what the access rules say of one."""

from __future__ import annotations

import base64
from typing import Any

from django.contrib.auth.hashers import make_password

from metrics.access.rules import Access, Decision

HASH = make_password("geheim", salt="salt", hasher="pbkdf2_sha256")


GRANTED, UNAUTHORIZED, FORBIDDEN = Decision.GRANTED, Decision.UNAUTHORIZED, Decision.FORBIDDEN


def basic(user: str, password: str) -> str:
    """Return the Authorization header of basic auth."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def judge(setting: dict[str, Any], authorization: str = "", peer: str = "10.0.0.1") -> Decision:
    """Ask about one request from ``peer``."""
    return Access(setting).judge(peer, "", authorization)
