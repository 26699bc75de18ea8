"""The sample gateway: a few tools that do real work, so that there is something to measure.

Served only where ``SENTINEL_DEMO`` is on. Each call is recorded through `METRICS`, with the
status that says how it ended; `InvalidArguments` becomes an answer in ``MetricsMiddleware``.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from metrics.instrument import InvalidArguments
from metrics.registry import METRICS, Status

LONGEST_SLEEP_SECONDS = 30.0
UNKNOWN_TOOL = "unknown"
"""The one name under which calls of tools that do not exist are counted."""


class ToolFailedError(Exception):
    """The tool was asked to fail, and did."""


def echo(body: Any) -> Any:
    """Answer the body."""
    return body


def sha256(body: Any) -> dict[str, str]:
    """Answer the SHA-256 digest of ``{"text": …}``, in hexadecimal digits."""
    text = body.get("text") if isinstance(body, dict) else None
    if not isinstance(text, str):
        raise InvalidArguments('the body must be {"text": "..."}')
    try:
        return {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    except UnicodeEncodeError as e:
        raise InvalidArguments("the text holds half a surrogate pair") from e


def sleep(body: Any) -> dict[str, float]:
    """Wait ``{"seconds": x}``, 0 to 30, and answer the same."""
    seconds = body.get("seconds") if isinstance(body, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidArguments('the body must be {"seconds": a number}')
    if not 0 <= seconds <= LONGEST_SLEEP_SECONDS:
        raise InvalidArguments(f"seconds must be 0 to {LONGEST_SLEEP_SECONDS:g}")
    time.sleep(seconds)
    return {"seconds": seconds}


def fail(body: Any) -> Any:
    """Fail, whatever the body."""
    raise ToolFailedError


TOOLS: dict[str, Callable[[Any], Any]] = {
    "echo": echo,
    "fail": fail,
    "hash": sha256,
    "sleep": sleep,
}


@csrf_exempt
@require_POST
def call_tool(request: HttpRequest, tool: str) -> HttpResponse:
    """Run ``tool`` on the JSON body, answer JSON, and record the call."""
    name = tool if tool in TOOLS else UNKNOWN_TOOL
    with METRICS.track(name) as call:
        if tool not in TOOLS:
            call.status = Status.INVALID_ARGS
            text = f"there is no such tool; there are {', '.join(TOOLS)}"
            return JsonResponse({"error": text}, status=404)
        try:
            answer = json.dumps(TOOLS[tool](_arguments(request)), allow_nan=False)
        except RecursionError as e:
            raise InvalidArguments("the body is nested too deeply") from e
        except ToolFailedError:
            call.status = Status.ERROR
            return JsonResponse({"error": "the tool failed"}, status=500)
        return HttpResponse(answer, content_type="application/json")


def _arguments(request: HttpRequest) -> Any:
    """Parse the body strictly: UTF-8, no NaN, no infinities."""
    try:
        return json.loads(request.body.decode(), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as e:
        raise InvalidArguments("the body must be JSON") from e
    except RequestDataTooBig as e:
        raise InvalidArguments("the body is too long") from e
    except UnreadablePostError as e:
        raise InvalidArguments("the body did not arrive whole") from e


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is out of range")
    return number


urlpatterns = [path("tools/<str:tool>", call_tool)]
