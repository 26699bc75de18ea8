"""Views that stream; files in the folder STREAMING_DIR say what and for how long."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.urls import path

HERE = Path(os.environ["STREAMING_DIR"])


def stream() -> Iterator[str]:
    """Send events until there is a file ``end``, and none while there is a file ``pause``."""
    while not (HERE / "end").exists():
        if not (HERE / "pause").exists():
            yield "data: x\n\n"
        time.sleep(0.05)


def events(request: HttpRequest) -> StreamingHttpResponse:
    """Answer with a stream of events."""
    return StreamingHttpResponse(stream(), content_type="text/event-stream")


def file(request: HttpRequest) -> FileResponse:
    """Answer with the file ``large``."""
    return FileResponse((HERE / "large").open("rb"))


urlpatterns = [path("events", events), path("file", file)]
