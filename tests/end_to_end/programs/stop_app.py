"""Applications that tests of gunicorn's stop load: both kinds, and slow to load if told so."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

if loading := os.environ.get("STOP_WHILE_LOADING"):
    try:
        Path(loading).touch()
        time.sleep(3600)
    except BaseException as e:
        raise RuntimeError("cannot be loaded") from e


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with what SIGALRM would do."""
    handler = signal.getsignal(signal.SIGALRM)
    assert isinstance(handler, signal.Handlers)
    body = handler.name.encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer with nothing."""
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})
