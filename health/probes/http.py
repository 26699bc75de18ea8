"""Probe of an HTTP server."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import urllib3

from health.probes.base import Probe, ProbeError
from health.probes.options import FilePath
from health.probes.tls import demand_cert, tls_context

CHUNK = 16 * 1024


@dataclass
class HTTPProbe(Probe):
    """Sends one request over a connection of its own and looks at the answer.

    ``statuses`` are those that are well (any 2xx when empty); ``body`` is a regular
    expression that the first ``max_bytes`` of the answer must hold. A redirect is
    never followed: it is an answer like any other. ``verify`` False accepts any
    certificate; ``ca_file``, ``client_cert`` and ``client_key`` are PEM files.
    ``auth`` is (user, password).
    """

    url: str = field(repr=False)
    method: str = "GET"
    statuses: Sequence[int] = ()
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: Sequence[str] | None = field(default=None, repr=False)
    verify: bool = True
    ca_file: FilePath | None = None
    client_cert: FilePath | None = None
    client_key: FilePath | None = None
    max_bytes: int = 64 * 1024

    def __post_init__(self) -> None:
        parts = urllib3.util.parse_url(self.url)
        if parts.scheme not in ("http", "https") or not parts.host:
            raise ValueError("url must begin with http:// or https:// and name a host")
        if parts.auth is not None:
            raise ValueError("url must not hold credentials; give them as auth")
        if self.auth is not None and len(self.auth) != 2:
            raise ValueError("auth must be a user and a password")
        if not self.method.isalpha():
            raise ValueError("method must be a word, as GET is")
        if not all(100 <= status <= 599 for status in self.statuses):
            raise ValueError("statuses must be from 100 to 599")
        if self.max_bytes < 1:
            raise ValueError("max_bytes must be 1 or more")
        demand_cert(self.client_cert, self.client_key)
        try:
            self._pattern = None if self.body is None else re.compile(self.body.encode())
        except re.error as e:
            raise ValueError(f"body is no regular expression: {e}") from e

    def check(self, timeout: float) -> None:
        """Send the request, and compare the answer with what it should be."""
        deadline = time.monotonic() + timeout
        with urllib3.PoolManager(ssl_context=self._context(), retries=False) as manager:
            response = manager.request(
                self.method,
                self.url,
                headers=self._headers(),
                timeout=urllib3.Timeout(total=timeout),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                self._judge(response, deadline)
            finally:
                response.close()  # also when there is more to read: nothing is kept

    def _judge(self, response: urllib3.BaseHTTPResponse, deadline: float) -> None:
        if response.status not in self.statuses if self.statuses else response.status // 100 != 2:
            raise ProbeError(f"status {response.status}")
        if self._pattern is None:
            return
        content = b""
        while len(content) < self.max_bytes:
            if time.monotonic() > deadline:
                raise ProbeError("the body does not end")
            part = response.read1(min(CHUNK, self.max_bytes - len(content)))
            if not part:
                break
            content += part
        if not self._pattern.search(content):
            raise ProbeError("the body does not hold what it should")

    def _headers(self) -> dict[str, str]:
        headers = {
            "User-Agent": "sentinel-probe",
            "Connection": "close",
            "Accept-Encoding": "identity",
            **self.headers,
        }
        if self.auth is not None:
            headers |= urllib3.make_headers(basic_auth=":".join(self.auth))
        return headers

    def _context(self) -> ssl.SSLContext | None:
        if not self.url.lower().startswith("https:"):
            return None
        return tls_context(self.verify, self.ca_file, self.client_cert, self.client_key)
