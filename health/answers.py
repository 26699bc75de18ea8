"""What a probe is sent: JSON, the IETF draft's JSON, or a page for people.

The three say the same: each is made from the body of the JSON answer.
"""

from __future__ import annotations

import datetime
import functools
import json
import logging
from collections.abc import Callable, Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.response import ResponseHeaders
from django.template import Context, Engine, Template

from health import report
from health.metrics import FAULTS

logger = logging.getLogger(__name__)

JSON = "application/json"
HEALTH_JSON = "application/health+json"
HTML = "text/html"
METHODS = ("GET", "HEAD", "OPTIONS")
"""OPTIONS is answered as GET is: HAProxy's checks use it where nothing else is configured."""

ALLOW = {"Allow": ", ".join(METHODS)}
MAX_ACCEPT = 1000
"""The longest Accept header that is looked into: one of 8,000 characters takes 40 ms."""

Answer = tuple[int, dict[str, Any]]
"""Status code and body."""

PlainAnswer = tuple[int, str, str | None]
"""Status code, status word and reason."""

_WELL = {"ok", "ready", "started", "healthy"}


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


def respond_quickly(request: HttpRequest, answer: Callable[[], PlainAnswer]) -> HttpResponse | None:
    """Send what ``answer`` gives, if the request is as plain as a probe's: None if it is not.

    Plain is one of METHODS, without a query, and content with JSON.
    """
    meta = request.META
    if (
        request.method not in METHODS
        or meta.get("QUERY_STRING")
        or meta.get("HTTP_ACCEPT", "*/*") not in ("*/*", JSON)
    ):
        return None
    try:
        return _prepared(request.method, *answer()).copy()
    except Exception:  # noqa: BLE001 - the slow way says what is wrong
        return None


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
    return _make(request.method, media_type(request), status, body)


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


def media_type(request: HttpRequest) -> str:
    """Return which of the three the client likes best; JSON when it does not say.

    Follows RFC 9110, section 12.5.1; nothing acceptable means JSON too.
    """
    accept = request.META.get("HTTP_ACCEPT", "*/*")
    if accept in ("*/*", JSON) or len(accept) > MAX_ACCEPT:
        return JSON
    try:
        return request.get_preferred_type([JSON, HEALTH_JSON, HTML]) or JSON
    except (ValueError, TypeError):  # a header that cannot be read
        return JSON


def _as_json(body: Mapping[str, Any]) -> str:
    return json.dumps(body)


def _as_health_json(body: Mapping[str, Any]) -> str:
    """Render by draft-inadarei-api-health-check-06; it says warn where a part is not well."""
    backends = body.get("backends", {})
    well = body["status"] in _WELL
    warned = body.get("reason") or any(not b["healthy"] for b in backends.values())
    draft: dict[str, Any] = {"status": ("warn" if warned else "pass") if well else "fail"}
    if body.get("reason"):
        draft["notes"] = [body["reason"]]
    if backends:
        checks: dict[str, list[dict[str, Any]]] = {}
        for name, b in backends.items():
            key = f"{name.replace(':', '_')}:responseTime"  # a colon parts name and measurement
            checks.setdefault(key, []).append(_check(name, b))
        draft["checks"] = checks
    return json.dumps(draft)


def _check(name: str, backend: Mapping[str, Any]) -> dict[str, Any]:
    check: dict[str, Any] = {
        "componentId": name,
        "componentType": "component",
        "status": "pass" if backend["healthy"] else "fail",
    }
    if backend["latency"] is not None:
        check |= {"observedValue": round(backend["latency"] * 1000, 3), "observedUnit": "ms"}
    if backend["last_check"] is not None:
        moment = datetime.datetime.fromtimestamp(backend["last_check"], datetime.UTC)
        check["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if backend.get("error"):
        check["output"] = backend["error"]
    return check


def _as_html(body: Mapping[str, Any]) -> str:
    rows = [
        {
            "name": name,
            "checked": "never"
            if b["age_seconds"] is None
            else f"{report.duration(b['age_seconds'])} ago",
            "took": "-" if b["latency"] is None else f"{b['latency'] * 1000:.1f} ms",
            **b,
        }
        for name, b in body.get("backends", {}).items()
    ]
    context = {
        "status": body["status"].replace("_", " "),
        "well": body["status"] in _WELL,
        "reason": body.get("reason"),
        "backends": rows,
        "details": any("error" in row for row in rows),
    }
    return _page().render(Context(context))


_RENDER: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    JSON: _as_json,
    HEALTH_JSON: _as_health_json,
    HTML: _as_html,
}


@functools.cache
def _page() -> Template:
    """Return the page, by an engine of its own: the project's may be any, or none."""
    engine = Engine(dirs=[str(Path(__file__).parent / "templates")])
    return engine.get_template("health/page.html")
