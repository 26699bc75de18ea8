"""What is measured of requests that the service sends, to a server that is there."""

from __future__ import annotations

import asyncio
import inspect
import logging
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
import requests
import urllib3
from django.test import override_settings

from health.conf.webhook import WebhookConfig
from health.prober.pool import ProbePool, Run
from health.prober.webhook import _send
from health.probes import HTTPProbe
from metrics.conf import conf
from metrics.instrument import http_client
from metrics.own_calls import own_calls
from tests.metrics.instrument.figures import Figures

COUNT = "http_client_request_duration_seconds_count"


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    """Measure from here on: it harms no other test, as what a client gets is the same."""
    http_client.install()
    http_client.install()


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> http_client.Calls:
    """Begin with no host known."""
    calls = http_client.Calls(None)
    monkeypatch.setattr(http_client, "_calls", calls)
    return calls


class Server(ThreadingHTTPServer):
    """Answers in the way that the path says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.go_on = threading.Event()
        self.began = threading.Event()
        self.failures = 0

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self.port}"


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    server: Server

    def answer(self) -> None:
        """Answer."""
        length = self.headers.get("Content-Length")
        if length is not None:
            self.rfile.read(int(length))
        what, _, value = urlsplit(self.path).path.strip("/").partition("/")
        getattr(self, f"do_{what}")(value)

    do_GET = do_HEAD = do_POST = do_PURGE = answer  # noqa: N815

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_status(self, value: str) -> None:
        """Answer with a status."""
        self._send(int(value), b"body")

    def do_redirect(self, value: str) -> None:
        """Send the client on as often as it says."""
        self._send(302, Location=f"/redirect/{int(value) - 1}" if int(value) else "/status/200")

    def do_busy(self, value: str) -> None:
        """Answer well after as many failures."""
        self.server.failures += 1
        self._send(503 if self.server.failures <= int(value) else 200)

    def do_hang(self, value: str) -> None:
        """Answer when the test is over."""
        self.server.began.set()
        self.server.go_on.wait(60)
        self.close_connection = True

    def do_close(self, value: str) -> None:
        """Answer nothing."""
        self.close_connection = True

    def do_stream(self, value: str) -> None:
        """Answer with a part, and the rest when it is told to go on."""
        self.send_response(200)
        self.send_header("Content-Length", "8")
        self.end_headers()
        self.wfile.write(b"part")
        self.server.go_on.wait(60)
        self.wfile.write(b"rest")

    def do_cut(self, value: str) -> None:
        """Answer with less than was told."""
        self.send_response(200)
        self.send_header("Content-Length", "8")
        self.end_headers()
        self.wfile.write(b"part")
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server that runs."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def labels(server: Server) -> dict[str, str]:
    """Return the labels of a GET that the server answers with 200."""
    return {
        "http_request_method": "GET",
        "server_address": "127.0.0.1",
        "server_port": str(server.port),
        "http_response_status_code": "200",
    }


@pytest.fixture
def nowhere() -> Iterator[int]:
    """Return a port at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def call_urllib3(method: str, url: str, timeout: float = 30) -> int:
    """Send a request by urllib3, and return the status."""
    with urllib3.PoolManager(retries=False) as manager:
        return manager.request(method, url, timeout=timeout).status


def call_requests(method: str, url: str, timeout: float = 30) -> int:
    """Send a request by requests."""
    return requests.request(method, url, timeout=timeout, allow_redirects=False).status_code


def call_httpx(method: str, url: str, timeout: float = 30) -> int:
    """Send a request by httpx."""
    return httpx.request(method, url, timeout=timeout, trust_env=False).status_code


def call_httpx2(method: str, url: str, timeout: float = 30) -> int:
    """Send a request by httpx2."""
    return httpx2.request(method, url, timeout=timeout, trust_env=False).status_code


def call_httpx_async(method: str, url: str, timeout: float = 30) -> int:
    """Send a request by httpx in an event loop."""

    async def call() -> int:
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            return (await client.request(method, url)).status_code

    return asyncio.run(call())


CALLS = (call_urllib3, call_requests, call_httpx, call_httpx2, call_httpx_async)
Call = Callable[..., int]


@pytest.fixture(params=CALLS, ids=lambda call: call.__name__.removeprefix("call_"))
def call(request: pytest.FixtureRequest) -> Any:
    """Return what sends a request."""
    return request.param


def library(call: Call) -> str:
    """Return the name of the library by which ``call`` sends."""
    return call.__name__.removeprefix("call_").removesuffix("_async")


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Assert that both have the same rows, in whatever order."""
    assert all(row in found for row in expected), found
    assert len(found) == len(expected), found


def test_each_request_counts_once(call: Call, server: Server, labels: dict[str, str]) -> None:
    """By its method and status, which is the error of a 4xx and 5xx."""
    counted = Figures(COUNT)
    assert call("GET", f"{server.url}/status/200") == 200
    assert call("GET", f"{server.url}/status/200?q=1") == 200
    assert call("HEAD", f"{server.url}/status/204") == 204
    assert call("POST", f"{server.url}/status/404") == 404
    assert call("GET", f"{server.url}/status/503") == 503
    assert call("PURGE", f"{server.url}/status/200") == 200
    head = {"http_request_method": "HEAD", "http_response_status_code": "204"}
    post = {"http_request_method": "POST", "http_response_status_code": "404", "error_type": "404"}
    expected: list[dict[str, Any]] = [
        labels | {"n": 2.0},
        labels | head | {"n": 1.0},
        labels | post | {"n": 1.0},
        labels | {"http_response_status_code": "503", "error_type": "503", "n": 1.0},
        labels | {"http_request_method": "_OTHER", "n": 1.0},
    ]
    same(counted.new(), expected)


def test_a_host_that_refuses(call: Call, nowhere: int) -> None:
    """The exception comes to the caller, and counts by the class that the library raised."""
    counted = Figures(COUNT)
    errors = {
        "urllib3": (urllib3.exceptions.NewConnectionError, "urllib3.exceptions.NewConnectionError"),
        "requests": (requests.ConnectionError, "urllib3.exceptions.NewConnectionError"),
        "httpx": (httpx.ConnectError, "httpx.ConnectError"),
        "httpx2": (httpx2.ConnectError, "httpx2.ConnectError"),
    }
    raised, named = errors[library(call)]
    with pytest.raises(raised):
        call("GET", f"http://127.0.0.1:{nowhere}/")
    (row,) = counted.new()
    assert row == {
        "http_request_method": "GET",
        "server_address": "127.0.0.1",
        "server_port": str(nowhere),
        "error_type": named,
        "n": 1.0,
    }


@pytest.mark.parametrize(
    ("path", "errors"),
    [
        (
            "hang",
            {
                "urllib3": "urllib3.exceptions.ReadTimeoutError",
                "requests": "urllib3.exceptions.ReadTimeoutError",
                "httpx": "httpx.ReadTimeout",
                "httpx2": "httpx2.ReadTimeout",
            },
        ),
        (
            "close",
            {
                "urllib3": "http.client.RemoteDisconnected",
                "requests": "http.client.RemoteDisconnected",
                "httpx": "httpx.RemoteProtocolError",
                "httpx2": "httpx2.RemoteProtocolError",
            },
        ),
    ],
)
def test_a_server_that_does_not_answer(
    call: Call, server: Server, path: str, errors: dict[str, str]
) -> None:
    """Counts without a status."""
    counted = Figures(COUNT)
    with pytest.raises((urllib3.exceptions.HTTPError, OSError, httpx.HTTPError, httpx2.HTTPError)):
        call("GET", f"{server.url}/{path}", timeout=0.2)
    (row,) = counted.new()
    assert row["error_type"] == errors[library(call)]
    assert "http_response_status_code" not in row


def test_redirects_and_retries_are_requests(server: Server, labels: dict[str, str]) -> None:
    """Each that is sent counts, whoever follows: urllib3, requests or httpx."""
    moved = labels | {"http_response_status_code": "302"}
    busy = labels | {"http_response_status_code": "503", "error_type": "503"}
    once, twice = {"n": 1.0}, {"n": 2.0}
    url = f"{server.url}/redirect/1"

    counted = Figures(COUNT)
    with urllib3.PoolManager() as manager:
        assert manager.request("GET", url).status == 200
    same(counted.new(), [labels | once, moved | twice])

    counted = Figures(COUNT)
    assert requests.get(url, timeout=30).status_code == 200
    same(counted.new(), [labels | once, moved | twice])

    counted = Figures(COUNT)
    assert httpx.get(url, follow_redirects=True, trust_env=False).status_code == 200
    same(counted.new(), [labels | once, moved | twice])

    counted = Figures(COUNT)
    adapter = requests.adapters.HTTPAdapter(
        max_retries=urllib3.Retry(5, status_forcelist=[503], backoff_factor=0)
    )
    with requests.Session() as session:
        session.mount("http://", adapter)
        assert session.get(f"{server.url}/busy/2").status_code == 200
    same(counted.new(), [labels | once, busy | twice])


def test_a_host_that_refuses_is_asked_again(nowhere: int) -> None:
    """Each try counts."""
    counted = Figures(COUNT)
    retries = urllib3.Retry(2, backoff_factor=0)
    with (
        urllib3.PoolManager(retries=retries) as manager,
        pytest.raises(urllib3.exceptions.MaxRetryError),
    ):
        manager.request("GET", f"http://127.0.0.1:{nowhere}/")
    assert [row["n"] for row in counted.new()] == [3.0]


def test_the_time_ends_with_the_headers(server: Server, labels: dict[str, str]) -> None:
    """A stream counts before it has come to its end."""
    counted = Figures(COUNT)
    with requests.get(f"{server.url}/stream", stream=True, timeout=30) as response:
        assert counted.new() == [labels | {"n": 1.0}]
        server.go_on.set()
        assert response.content == b"partrest"
    server.go_on.clear()
    with httpx.stream("GET", f"{server.url}/stream", trust_env=False) as streamed:
        assert counted.new() == [labels | {"n": 2.0}]
        server.go_on.set()
        assert streamed.read() == b"partrest"
    assert counted.new() == [labels | {"n": 2.0}]


def test_a_body_that_breaks_off_is_not_the_requests_error(
    server: Server, labels: dict[str, str]
) -> None:
    """It was answered; the caller gets what the library raises."""
    counted = Figures(COUNT)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(f"{server.url}/cut", timeout=30)
    with pytest.raises(httpx.RemoteProtocolError):
        call_httpx("GET", f"{server.url}/cut")
    assert counted.new() == [labels | {"n": 2.0}]


def test_a_body_that_is_made_as_it_is_sent(server: Server, labels: dict[str, str]) -> None:
    """Goes out whole; what it raises is the error."""
    counted = Figures(COUNT)

    def parts(error: bool = False) -> Iterator[bytes]:
        yield b"a"
        if error:
            raise LookupError("no more")

    post = labels | {"http_request_method": "POST"}
    headers = {"Content-Length": "1"}
    httpx.post(f"{server.url}/status/200", content=parts(), headers=headers, trust_env=False)
    assert counted.new() == [post | {"n": 1.0}]
    counted = Figures(COUNT)
    with pytest.raises(LookupError):
        requests.post(f"{server.url}/status/200", data=parts(error=True), timeout=30)
    del post["http_response_status_code"]
    assert counted.new() == [post | {"error_type": "LookupError", "n": 1.0}]


def test_a_request_that_is_cancelled(server: Server, labels: dict[str, str]) -> None:
    """Counts as such, and the cancellation goes on."""
    counted = Figures(COUNT)

    async def main() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            task = asyncio.create_task(client.get(f"{server.url}/hang"))
            await asyncio.to_thread(server.began.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await client.get(f"{server.url}/status/200")).status_code == 200

    asyncio.run(main())
    cancelled = labels | {"error_type": "asyncio.exceptions.CancelledError"}
    del cancelled["http_response_status_code"]
    same(counted.new(), [cancelled | {"n": 1.0}, labels | {"n": 1.0}])


def test_threads(server: Server, labels: dict[str, str]) -> None:
    """None is lost."""
    counted = Figures(COUNT)

    def work() -> None:
        with requests.Session() as session:
            for _ in range(20):
                session.get(f"{server.url}/status/200")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.new() == [labels | {"n": 80.0}]


def test_through_a_proxy(server: Server, labels: dict[str, str]) -> None:
    """The server is the one that is asked for, not the proxy."""
    counted = Figures(COUNT)
    with urllib3.ProxyManager(server.url) as proxy:
        assert proxy.request("GET", "http://far.example:81/status/200").status == 200
    with httpx.Client(proxy=server.url, trust_env=False) as client:
        assert client.get("http://far.example:81/status/200").status_code == 200
    far = {"server_address": "far.example", "server_port": "81", "n": 2.0}
    assert counted.new() == [labels | far]


def fill(calls: http_client.Calls, *servers: http_client.Server) -> list[tuple[str, str]]:
    """Note a request to each of the servers, and return the labels of new series."""
    counted = Figures(COUNT)
    for server in servers:
        calls.note("GET", server, 0.1, 200)
    return [(row.get("server_address", ""), row.get("server_port", "")) for row in counted.new()]


def test_hosts_without_number(calls: http_client.Calls) -> None:
    """Have their names up to the hundredth; any other is another, and costs no memory."""
    many = [("http", f"{number}.example", 1000 + number) for number in range(1000)]
    found = fill(calls, *many)
    assert len(found) == http_client.MOST_HOSTS + 1
    assert ("_OTHER", "") in found
    assert ("99.example", "1099") in found
    assert len(calls._observers) == http_client.MOST_HOSTS
    assert fill(calls, many[0], ("http", "more.example", 80)) == [
        ("0.example", "1000"),
        ("_OTHER", ""),
    ]


def test_ports_without_number(calls: http_client.Calls) -> None:
    """Of one host a hundred have series of their own."""
    found = fill(calls, *(("http", "one.example", port) for port in range(1000, 2000)))
    assert len(found) == http_client.MOST_PORTS + 1
    assert ("one.example", "_OTHER") in found
    assert len(calls._observers) == http_client.MOST_PORTS


def test_hosts_by_name() -> None:
    """Those of the setting, in whatever case, have their names, and no other."""
    with override_settings(SENTINEL_HTTP_CLIENT_HOSTS=["Api.Example", "::1"]):
        calls = http_client.Calls(conf.http_client_hosts)
    found = fill(
        calls,
        ("https", "api.example", 443),
        ("https", "API.example", None),
        ("http", "::1", 8000),
        ("http", "evil.example", 80),
        ("http", "", 81),
    )
    assert sorted(found) == [("::1", "8000"), ("_OTHER", ""), ("api.example", "")]


def test_methods_and_statuses_without_number(calls: http_client.Calls) -> None:
    """Methods that nobody knows are one."""
    counted = Figures(COUNT)
    for number in range(1000):
        calls.note(f"X{number}", ("http", "m.example", 80), 0.1, 200)
    assert [(row["http_request_method"], row["n"]) for row in counted.new()] == [("_OTHER", 1000.0)]
    assert not calls._observers


def test_hosts_that_cannot_be(calls: http_client.Calls) -> None:
    """One that is longer than a name may be takes no other's place; none is no request."""
    counted = Figures(COUNT)
    for number in range(200):
        calls.note("GET", ("https", f"{number:03}" + "a" * 251, None), 0.1, None, "LookupError")
        calls.note("GET", ("https", "", None), 0.1, None, "LookupError")
    calls.note("GET", ("https", "a" * 253, None), 0.1, 200)
    assert [(row["server_address"], row["n"]) for row in counted.new()] == [
        ("_OTHER", 200),
        ("a" * 253, 1),
    ]


def test_statuses_that_cannot_be(calls: http_client.Calls) -> None:
    """What a server may invent makes no series."""
    counted = Figures(COUNT)
    for status in (*range(100), *range(600, 1000)):
        calls.note("GET", ("http", "host", None), 0.1, status)
    calls.note("GET", ("http", "host", None), 0.1, 599)
    found = [
        (row["http_response_status_code"], row.get("error_type"), row["n"]) for row in counted.new()
    ]
    assert sorted(found, key=str) == [
        ("599", "599", 1),
        ("_OTHER", "_OTHER", 400),
        ("_OTHER", None, 100),
    ]
    assert len(calls._observers) == 1


def test_sentinels_own_requests_are_not_the_services(server: Server) -> None:
    """Neither those of probes nor any other that says so."""
    counted = Figures(COUNT)
    done: queue.SimpleQueue[Run] = queue.SimpleQueue()
    pool = ProbePool(done.put)
    pool.start(Run("web", HTTPProbe(url=f"{server.url}/status/200"), 30.0))
    assert done.get(timeout=30).error is None
    pool.close()
    _send(WebhookConfig(f"{server.url}/status/200"), {})
    with own_calls():
        for call in CALLS:
            call("GET", f"{server.url}/status/200")
    assert counted.new() == []
    call_urllib3("GET", f"{server.url}/status/200")
    assert len(counted.new()) == 1


def test_a_fault_of_ours_is_logged(
    monkeypatch: pytest.MonkeyPatch, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """And the caller has the answer."""
    monkeypatch.setattr(http_client, "_calls", None)
    with caplog.at_level(logging.ERROR, http_client.__name__):
        for call in CALLS:
            assert call("GET", f"{server.url}/status/200") == 200
    assert caplog.text.count("a request that was sent is not measured") == len(CALLS)


def test_what_is_measured_looks_as_it_did() -> None:
    """Signatures, and what is a coroutine."""
    make_request = urllib3.HTTPConnectionPool._make_request
    assert list(inspect.signature(make_request).parameters)[:4] == ["self", "conn", "method", "url"]
    assert make_request.__name__ == "_make_request"
    assert not inspect.iscoroutinefunction(httpx.HTTPTransport.handle_request)
    assert inspect.iscoroutinefunction(httpx.AsyncHTTPTransport.handle_async_request)
