"""The three formats of an answer; each is made from the body of the JSON answer."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.http import HttpRequest
from django.template import Context, Engine, Template

from health.core import verdict_text

JSON = "application/json"
HEALTH_JSON = "application/health+json"
HTML = "text/html"
MAX_ACCEPT = 1000
"""The longest Accept header that is looked into: one of 8,000 characters takes 40 ms."""

_WELL = {"ok", "ready", "started", "healthy"}


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
            else f"{verdict_text.duration(b['age_seconds'])} ago",
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
    engine = Engine(dirs=[str(Path(__file__).parent.parent / "templates")])
    return engine.get_template("health/page.html")
