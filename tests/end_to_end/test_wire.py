"""Hostile and careless clients of /metrics over the wire, to real gunicorn."""

from __future__ import annotations

import contextlib
import gzip
import random
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.parser import BytesHeaderParser
from pathlib import Path

import pytest

from tests.support.harness import PATIENCE_SECONDS, Answer, Server, get, gunicorn, post, wait_until
from tests.support.noise import REQUESTS, noise
from tests.support.parsers import parse_openmetrics, parse_text

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping="
HEADERS = [
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "Content-Type",
    "Cookie",
    "Range",
    "X-Forwarded-For",
    "X-HTTP-Method-Override",
    "X-Prometheus-Scrape-Timeout-Seconds",
]
METHODS = ["GET"] * 8 + [
    "HEAD",
    "HEAD",
    "OPTIONS",
    "POST",
    "DELETE",
    "TRACE",
    "BREW",
    "get",
    "G ET",
]
TARGETS = ["/metrics?"] * 9 + [
    "//metrics?",
    "/metrics/?",
    "http://evil/metrics?",
    "/%6detrics?",
    "*",
]


@pytest.fixture(params=["sync", "asgi"], scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Run three workers that have counted something."""
    place = tmp_path_factory.mktemp("wire")
    with gunicorn(place, workers=3, worker_class=request.param) as running:
        for tool in ("echo", "hash", "fail"):
            post(running.port, f"/tools/{tool}", {"text": "x"})
        yield running


def send(port: int, data: bytes) -> bytes:
    """Return all that the server sends until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        received = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            while chunk := connection.recv(65536):
                received += chunk
    return received


def answer(received: bytes) -> Answer:
    """Take an answer apart; no header that matters may come twice."""
    head, _, body = received.partition(b"\r\n\r\n")
    status, _, lines = head.partition(b"\r\n")
    headers = [
        (name.lower(), value) for name, value in BytesHeaderParser().parsebytes(lines).items()
    ]
    assert len(dict(headers)) == len(headers), headers
    return Answer(int(status.split()[1]), dict(headers), body)


def ask(port: int, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> Answer:
    """Send one request as it stands, in latin-1, and take the answer apart."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    return answer(send(port, "\r\n".join([*lines, "", ""]).encode("latin-1") + body))


def check_scrape(found: Answer, method: str) -> None:
    """Assert that a scrape's headers fit its body, and that a strict parser reads it."""
    assert "set-cookie" not in found.headers
    assert "transfer-encoding" not in found.headers
    if method == "HEAD":
        assert found.body == b""
        return
    assert found.headers["content-length"] == str(len(found.body))
    if found.status == 200 and method == "GET":
        body = found.body
        if found.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        openmetrics = found.headers["content-type"].startswith("application/openmetrics")
        list((parse_openmetrics if openmetrics else parse_text)(body.decode()))


def test_random_requests(server: Server) -> None:
    """Whatever comes over the wire, no answer is a 5xx, and each scrape is whole."""
    source = random.Random(7)
    seen: Counter[int] = Counter()
    for _ in range(REQUESTS // 20):
        method = source.choice(METHODS)
        lines = [f"{source.choice(HEADERS)}: {noise(source)}" for _ in range(source.randrange(5))]
        headers = [line.translate({10: "", 13: "", 0: ""}) for line in lines]
        query = "".join(noise(source).split()).translate(dict.fromkeys(range(127, 256), "%C3"))
        found = ask(server.port, source.choice(TARGETS) + query, *headers, method=method)
        seen[found.status] += 1
        assert found.status < 500, (method, query, headers)
        if found.headers.get("cache-control") == "no-store":
            check_scrape(found, method)
    assert seen[200] > seen.total() / 10
    assert {200, 400, 404, 405} <= seen.keys()


@pytest.mark.parametrize(
    ("headers", "content_type", "encoding"),
    [
        (["Accept: text/plain;q=0.1", "Accept: application/openmetrics-text"], "underscores", None),
        (["Accept: application/openmetrics-text;q=0.1", "Accept: text/plain"], TEXT, None),
        (["Accept: application/openmetrics-text;escaping=dots" + ",a/b" * 900], "dots", None),
        (["Accept:"], TEXT, None),
        (['Accept: "'], TEXT, None),
        (["Accept: \xff\xfe"], TEXT, None),
        (["Accept-Encoding: gzip;q=0", "Accept-Encoding: deflate"], TEXT, None),
        (["Accept-Encoding: br", "Accept-Encoding: gzip;q=0.1"], TEXT, "gzip"),
        (["Accept-Encoding: gzip;q=0.5, identity;q=0.6"], TEXT, None),
        (["Range: bytes=0-9", "If-None-Match: *"], TEXT, None),
        (["X-HTTP-Method-Override: DELETE"], TEXT, None),
        (["X-Prometheus-Scrape-Timeout-Seconds: 1e-300"], TEXT, None),
    ],
)
def test_odd_headers(
    server: Server, headers: list[str], content_type: str, encoding: str | None
) -> None:
    """Headers that come twice count as one list; what cannot be understood is left out."""
    found = ask(server.port, "/metrics", *headers)
    assert found.status == 200
    expected = content_type if content_type == TEXT else OPENMETRICS + content_type
    assert found.headers["content-type"] == expected
    assert found.headers.get("content-encoding") == encoding
    check_scrape(found, "GET")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name[]=sentinel_requests_total", ["sentinel_requests_total"]),
        ("name%5B%5D=sentinel_requests", ["sentinel_requests_total"]),
        ("name[]=sentinel%5Frequests%5Ftotal&name[]=%FF", ["sentinel_requests_total"]),
        ("name[]=%ED%A0%80&name[]=%00&name[]=%C3%28", []),
        ("name[]=python_info&name[]=sentinel_build_info", ["python_info", "sentinel_build_info"]),
        ("name[]=sentinel_requests_total%0d%0aSet-Cookie:%20a=b", []),
        ("name[]=python_info&name=x&NAME[]=y&name[=z&;&&=&", ["python_info"]),
        ("&".join(["name[]=python_info"] * 200), ["python_info"]),
        ("name[]=" + "a" * 3900 + "&name[]=python_info", ["python_info"]),
    ],
)
def test_odd_queries(server: Server, query: str, names: list[str]) -> None:
    """Names that cannot be are found nowhere; the others are, once each."""
    found = ask(server.port, f"/metrics?{query}")
    assert found.status == 200
    lines = found.text.splitlines()
    assert sorted(line.split()[2] for line in lines if line.startswith("# TYPE ")) == names
    check_scrape(found, "GET")


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("HEAD", b"", 200),
        ("OPTIONS", b"", 200),
        ("POST", b"name[]=python_info", 405),
        ("PUT", b"x" * 100_000, 405),
        ("PROPFIND", b"", 405),
        ("TRACE", b"", 405),
    ],
)
def test_other_methods(server: Server, method: str, body: bytes, status: int) -> None:
    """HEAD and OPTIONS are answered, all others are 405, with Allow, body or not."""
    found = ask(server.port, "/metrics", f"Content-Length: {len(body)}", method=method, body=body)
    assert found.status == status
    if method != "HEAD":
        assert found.headers["allow"] == "GET, HEAD, OPTIONS"
    check_scrape(found, method)


def test_a_client_that_goes_away(server: Server) -> None:
    """Clients that close at once, or send half a request, leave nothing behind."""
    for data in (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n") * 5:
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) as connection:
            connection.sendall(data)
    path = "/metrics?name[]=sentinel_scrapes_in_flight"

    def only_this_one() -> bool:
        return ask(server.port, path).text.endswith("\nsentinel_scrapes_in_flight 1.0\n")

    wait_until(only_this_one, "no scrape is in flight")


def test_many_at_once(tmp_path: Path) -> None:
    """A crowd gets whole scrapes, or 503 with Retry-After, and totals that never fall."""
    with gunicorn(
        tmp_path, workers=3, worker_class="gthread", options=["--threads", "24"]
    ) as server:

        def scrape(_: int) -> Answer:
            return ask(server.port, "/metrics?name[]=sentinel_scrapes_total")

        with ThreadPoolExecutor(60) as crowd:
            found = list(crowd.map(scrape, range(600)))
        assert {one.status for one in found} <= {200, 503}
        for one in found:
            check_scrape(one, "GET")
            if one.status == 503:
                assert (one.headers["retry-after"], one.body) == ("1", b"Too many scrapes at once")
        text = get(server.port, "/metrics").text
        statuses = Counter(one.status for one in found)
        for status in (200, 503):
            assert f'\nsentinel_scrapes_total{{code="{status}"}} {statuses[status]}.0\n' in text
        assert 'sentinel_scrapes_total{code="500"} 0.0\n' in text
        assert "\nsentinel_scrapes_in_flight 1.0\n" in text
