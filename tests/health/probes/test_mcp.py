"""The probe of MCP servers."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import psutil
import pytest
from urllib3.exceptions import InsecureRequestWarning

from health.probes import MCPProbe
from tests.support import misbehaving
from tests.support.harness import Program, free_port
from tests.support.misbehaving import Certificates
from tests.support.probes import outcome

MCP_SERVER = str(Path(__file__).parent / "programs" / "mcp_server.py")


def test_mcp_over_http(tmp_path: Path) -> None:
    """A server of the official SDK over streamable HTTP is initialized and pinged."""
    port = free_port()
    argv = [sys.executable, MCP_SERVER, str(port)]
    with Program(argv, log=tmp_path / "mcp.log") as server:
        probe = MCPProbe(url=f"http://127.0.0.1:{port}/mcp")
        server.wait_ready(lambda: outcome(probe) is None, "the MCP server")
        assert outcome(probe) is None
        assert outcome(MCPProbe(url=f"http://127.0.0.1:{port}/")) == "initialize: status 404"
    assert "Connection refused" in str(outcome(probe))


def test_mcp_over_stdio() -> None:
    """A server of the official SDK on stdio is started, pinged and ended, with all of its kin."""
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    assert outcome(MCPProbe(command=[sys.executable, MCP_SERVER]), timeout=30) is None
    assert {p.pid for p in psutil.Process().children(recursive=True)} == before


LATE = "the server did not answer in time"
REFUSING = """
import time
print('{"jsonrpc": "2.0", "id": 1, "error": {"message": "no"}}', flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", "the server ended"),
        ("import time; time.sleep(60)", LATE),
        ("print('noise', flush=True); import time; time.sleep(60)", LATE),
        ("while True: print('noise' * 1000)", "the server writes without end"),
        ("while True: print('noise' * 10**6, end='')", "the server writes without end"),
        (
            REFUSING,
            "initialize was refused: no",
        ),
    ],
)
def test_mcp_servers_that_are_none(code: str, expected: str) -> None:
    """A program that ends, hangs, babbles or refuses is ill, and is not left behind."""
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    error = outcome(MCPProbe(command=[sys.executable, "-c", code]), timeout=1.5)
    assert error in (expected, "BrokenPipeError: [Errno 32] Broken pipe")
    assert {p.pid for p in psutil.Process().children(recursive=True)} == before


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (misbehaving.silence, "(read timeout=0.2"),  # what was left of 0.3 s
        (misbehaving.drip, "the server did not answer in time"),
    ],
)
def test_mcp_over_http_gives_up_in_time(talk: misbehaving.Talk, expected: str) -> None:
    """An endpoint that says nothing, or never comes to an end, costs the timeout and no more."""
    with misbehaving.server(talk) as port:
        error = outcome(MCPProbe(url=f"http://127.0.0.1:{port}/mcp"), timeout=0.3)
    assert expected in str(error)


def _mcp(connection: socket.socket) -> None:
    """Speak MCP to whoever has the token."""
    content = connection.recv(65536)
    while b'"method"' not in content:
        content += connection.recv(65536)
    head, _, body = content.partition(b"\r\n\r\n")
    message = json.loads(body)
    answer = {"jsonrpc": "2.0", "id": message.get("id"), "result": {"protocolVersion": "1"}}
    text = json.dumps(answer).encode() if "id" in message else b""
    status = "200 OK" if b"X-Token: t0ken" in head else "403 Forbidden"
    kind = "Content-Type: application/json\r\nConnection: close\r\n"
    head_out = f"HTTP/1.1 {status}\r\n{kind}Content-Length: {len(text)}\r\n\r\n"
    connection.sendall(head_out.encode() + text)
    connection.close()


def test_mcp_over_tls(certificates: Certificates) -> None:
    """The server's certificate is verified against one's own authority, and headers are sent."""
    headers, ca_file = {"X-Token": "t0ken"}, certificates.ca_file
    with misbehaving.server(_mcp, certificates.context("mcp")) as port:
        url = f"https://127.0.0.1:{port}/mcp"
        assert outcome(MCPProbe(url=url, headers=headers, ca_file=ca_file)) is None
        assert outcome(MCPProbe(url=url, ca_file=ca_file)) == "initialize: status 403"
        assert "unable to get local issuer" in str(outcome(MCPProbe(url=url, headers=headers)))
        with pytest.warns(InsecureRequestWarning):
            assert outcome(MCPProbe(url=url, headers=headers, verify=False)) is None
