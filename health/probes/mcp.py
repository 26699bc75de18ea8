"""Probe of an MCP server: initialize and ping, over streamable HTTP or stdio.

The few messages are spoken here: the official SDK would add some 40 MB and an event
loop to every process that probes. Follows the specification of 2025-06-18, which
servers of later ones answer as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import urllib3

from health.probes.base import Probe, ProbeError
from health.probes.options import FilePath
from health.probes.tls import tls_context

VERSION = "2025-06-18"
MAX_BYTES = 1024 * 1024
"""The longest answer that is read."""

Call = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Sends a message, and returns the answer to it if it is a request."""


@dataclass
class MCPProbe(Probe):
    """Opens a session with an MCP server, pings it, and closes the session.

    Give either the ``url`` of a streamable HTTP endpoint, with ``headers``, ``verify``
    and ``ca_file`` as `HTTPProbe` has them, or the ``command`` (a list) that starts a
    server on stdio, with ``env`` on top of ours.
    """

    url: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    command: Sequence[FilePath] | None = field(default=None, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: bool = True
    ca_file: FilePath | None = None

    def __post_init__(self) -> None:
        if (self.url is None) == (self.command is None):
            raise ValueError("give either url or command")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError("url must begin with http:// or https://")
        if isinstance(self.command, str) or (self.command is not None and not self.command):
            raise ValueError("command must be a list: the program and its arguments")

    def check(self, timeout: float) -> None:
        """Hold the shortest conversation that shows the server at work."""
        deadline = time.monotonic() + timeout
        if self.url is not None:
            context = None
            if self.url.startswith("https:"):
                context = tls_context(self.verify, self.ca_file)
            with _over_http(self.url, self.headers, context, deadline) as call:
                _converse(call)
        elif self.command is not None:
            with _over_stdio(self.command, self.env, deadline) as call:
                _converse(call)


def _converse(call: Call) -> None:
    client = {"name": "sentinel", "version": "1"}
    params = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": client}
    answer = call(_request(1, "initialize", params))
    if not isinstance((answer or {}).get("protocolVersion"), str):
        raise ProbeError("initialize was answered without a protocol version")
    call({"jsonrpc": "2.0", "method": "notifications/initialized"})
    call(_request(2, "ping", {}))


def _request(number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def _result_of(message: object, sent: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result in ``message`` if it answers what was ``sent``, else None."""
    if not isinstance(message, dict) or message.get("id") != sent["id"] or "method" in message:
        return None
    if isinstance(message.get("result"), dict):
        return dict(message["result"])
    error = message.get("error")
    text = error.get("message") if isinstance(error, dict) else None
    raise ProbeError(f"{sent['method']} was refused: {text}")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise ProbeError("the server did not answer in time")
    return left


@contextlib.contextmanager
def _over_http(
    url: str, headers: Mapping[str, str], context: ssl.SSLContext | None, deadline: float
) -> Iterator[Call]:
    session: dict[str, str] = {}

    with urllib3.PoolManager(ssl_context=context, retries=False) as manager:

        def send(method: str, body: bytes | None) -> urllib3.BaseHTTPResponse:
            return manager.request(
                method,
                url,
                body=body,
                headers={
                    "Accept": "application/json, text/event-stream",
                    "Content-Type": "application/json",
                    **headers,
                    **session,
                },
                timeout=urllib3.Timeout(total=_left(deadline)),
                redirect=False,
                preload_content=False,
            )

        def call(message: dict[str, Any]) -> dict[str, Any] | None:
            response = send("POST", json.dumps(message).encode())
            try:
                if response.status not in (200, 202):
                    raise ProbeError(f"{message['method']}: status {response.status}")
                if "id" not in message:
                    return None
                result = _read_http(response, message, deadline)
                if message["method"] == "initialize":
                    session["MCP-Protocol-Version"] = str(result.get("protocolVersion"))
                    if number := response.headers.get("Mcp-Session-Id"):
                        session["Mcp-Session-Id"] = number
                return result
            finally:
                response.close()

        try:
            yield call
        finally:
            if "Mcp-Session-Id" in session:
                with contextlib.suppress(urllib3.exceptions.HTTPError, ProbeError):
                    send("DELETE", None).close()  # a server may refuse to be told


def _read_http(
    response: urllib3.BaseHTTPResponse, sent: dict[str, Any], deadline: float
) -> dict[str, Any]:
    """Return the answer: a JSON body, or one event of a stream that may never end."""
    stream = response.headers.get("Content-Type", "").startswith("text/event-stream")
    content = b""
    while len(content) <= MAX_BYTES:
        _left(deadline)
        part = response.read1(65536)
        content += part
        if stream:
            *lines, _ = content.split(b"\n")
            messages = [line[5:] for line in lines if line.startswith(b"data:")]
        else:
            messages = [] if part else [content]
        for message in messages:
            if not message.strip():
                continue
            if (result := _result_of(json.loads(message), sent)) is not None:
                return result
        if not part:
            raise ProbeError(f"{sent['method']} was not answered")
    raise ProbeError(f"{sent['method']}: the answer does not end")


@contextlib.contextmanager
def _over_stdio(
    command: Sequence[FilePath], env: Mapping[str, str], deadline: float
) -> Iterator[Call]:
    process = subprocess.Popen(
        list(command),
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that all that it starts can be ended with it
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout
    lines: queue.SimpleQueue[bytes | ProbeError] = queue.SimpleQueue()

    def read() -> None:
        count = 0
        with contextlib.suppress(OSError, ValueError):
            while line := stdout.readline(MAX_BYTES):
                count += len(line)
                if count > MAX_BYTES:
                    lines.put(ProbeError("the server writes without end"))
                    return
                lines.put(line)
        lines.put(ProbeError("the server ended"))

    reader = threading.Thread(target=read, name="sentinel-mcp-stdio", daemon=True)
    reader.start()

    def call(message: dict[str, Any]) -> dict[str, Any] | None:
        stdin.write(json.dumps(message).encode() + b"\n")
        stdin.flush()
        while "id" in message:
            try:
                line = lines.get(timeout=_left(deadline))
            except queue.Empty:
                continue
            if isinstance(line, ProbeError):
                raise line
            with contextlib.suppress(json.JSONDecodeError):
                if (result := _result_of(json.loads(line), message)) is not None:
                    return result
        return None

    try:
        yield call
    finally:
        _end(process)
        reader.join(1)
        stdout.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close its input, as the specification asks, then end it and all that it started."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.2)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
