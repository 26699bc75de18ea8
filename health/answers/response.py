"""Send an answer to a probe, in the format that its request asks for."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from http.cookies import SimpleCookie
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.response import ResponseHeaders

from health.answers.formats import _RENDER, HTML, JSON, media_type
from health.families import FAULTS

logger = logging.getLogger(__name__)
METHODS = ("GET", "HEAD", "OPTIONS")
"""OPTIONS is answered as GET is: HAProxy's checks use it where nothing else is configured."""

ALLOW = {"Allow": ", ".join(METHODS)}

Answer = tuple[int, dict[str, Any]]
"""Status code and body."""


class _Response(HttpResponse):
    """An answer to a probe: a 503 is no fault here, so Django is not to log it as one."""

    _has_been_logged = True

    def copy(self) -> _Response:
        """Return an answer of its own with the same status, headers and body.

        Making one from nothing takes half of the time of a probe's whole request.
        """
        headers = ResponseHeaders({})
        headers._store = self.headers._store.copy()
        twin = _Response.__new__(_Response)
        twin.__dict__.update(
            self.__dict__, headers=headers, cookies=SimpleCookie(), _resource_closers=[]
        )
        return twin


@functools.lru_cache(maxsize=64)
def _prepared(method: str | None, status: int, word: str, reason: str | None) -> _Response:
    body = {"status": word} | ({"reason": reason} if reason else {})
    return _make(method, JSON, status, body)


_SHORT = {"status", "reason"}
"""What the body of an answer to a plain probe says: such answers are made once and copied."""


def respond(request: HttpRequest, answer: Callable[[], Answer]) -> HttpResponse:
    """Send what ``answer`` gives, as the request's Accept header would have it.

    Whatever ``answer`` raises is logged and answered by 503, without a word of it.
    """
    if request.method not in METHODS:
        return _Response(
            status=405,
            headers={**ALLOW, "Cache-Control": "no-store", "Content-Length": 0},
        )
    try:
        status, body = answer()
    except SuspiciousOperation:
        raise  # the client's doing: Django answers 400
    except Exception:
        FAULTS.labels("answer").inc()
        logger.exception("%s cannot be answered", request.path)
        status, body = 503, {"status": "not_ready"}
    kind = media_type(request)
    if kind == JSON and body.keys() <= _SHORT:
        return _prepared(request.method, status, body["status"], body.get("reason")).copy()
    return _make(request.method, kind, status, body)


def _make(method: str | None, kind: str, status: int, body: Mapping[str, Any]) -> _Response:
    """Return the answer; to HEAD it is GET's without the body (RFC 9110, section 9.3.2)."""
    content = _RENDER[kind](body).encode(errors="replace")  # names may hold anything
    return _Response(
        b"" if method == "HEAD" else content,
        status=status,
        content_type=f"{HTML}; charset=utf-8" if kind == HTML else kind,
        headers={
            "Cache-Control": "no-store",
            "Vary": "Accept",
            "Content-Length": len(content),
            **(ALLOW if method == "OPTIONS" else {}),
        },
    )
