"""What is measured of requests: once each, as what they were."""

from __future__ import annotations

import asyncio
import os
import random
import string
from collections.abc import Iterator
from typing import Any

import pytest
from django import urls
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory, override_settings

from metrics import instrument
from metrics.instrument import requests
from metrics.middleware import MetricsMiddleware
from tests.metrics.instrument import site
from tests.metrics.instrument.figures import Figures
from tests.support.noise import REQUESTS, noise

pytestmark = pytest.mark.django_db  # a response that is closed closes what is old of these

COUNT = "http_server_request_duration_seconds_count"
ODD = "tests.metrics.instrument.site.OddError"


def raising_middleware(get_response: Any) -> Any:
    """Raise where no view is asked."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path == "/in-middleware":
            raise site.OddError
        return get_response(request)  # type: ignore[no-any-return]

    return middleware


MIDDLEWARE = [
    "metrics.middleware.MetricsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    f"{__name__}.raising_middleware",
    "django.middleware.common.CommonMiddleware",
]


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    with override_settings(
        ROOT_URLCONF=site.__name__, MIDDLEWARE=MIDDLEWARE, ALLOWED_HOSTS=["testserver"]
    ):
        yield


@pytest.fixture
def counted() -> Figures:
    """Return the requests that are counted from now on."""
    return Figures(COUNT)


SERVED_IN_PARTS = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
"""Django says so of an iterator that is not asynchronous under ASGI."""


def row(route: str, status: str = "", method: str = "GET", error: str = "") -> dict[str, Any]:
    """Return one request as `Figures` has it."""
    labels = {
        "http_request_method": method,
        "http_route": route,
        "http_response_status_code": status,
        "error_type": error,
    }
    return {**{name: value for name, value in labels.items() if value}, "n": 1.0}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", row("/", "200")),
        ("/items/17/", row("items/<int:number>/", "200")),
        ("/items/18/?page=3", row("items/<int:number>/", "200")),
        ("/items/17", row("", "301")),
        ("/api/v1/abc", row("api/v1/<slug:name>", "200")),
        ("/old/1999/", row("^old/(?P<year>[0-9]{4})/$", "200")),
        ("/no/such/path", row("", "404")),
        ("/missing", row("missing", "404")),
        ("/forbidden", row("forbidden", "403")),
        ("/broken", row("broken", "500", error=ODD)),
        ("/template", row("template", "500", error=ODD)),
        ("/in-middleware", row("", "500", error=ODD)),
        ("/unavailable", row("unavailable", "503", error="503")),
        ("/enumerated", row("enumerated", "599", error="599")),
        pytest.param("/stream", row("stream", "200"), marks=SERVED_IN_PARTS),
        pytest.param("/file", row("file", "200"), marks=SERVED_IN_PARTS),
        ("/async", row("async", "200")),
        ("/broken-async", row("broken-async", "500", error=ODD)),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_request_counts_once_as_what_it_was(
    counted: Figures, path: str, expected: dict[str, Any], is_async: bool
) -> None:
    """By method, route, status and exception; never by its path."""
    if is_async:
        asyncio.run(_ask(path))
    else:
        answer: Any = Client(raise_request_exception=False).get(path)
        if answer.streaming:
            b"".join(answer.streaming_content)
            answer.close()
    assert counted.new() == [expected]
    assert not [line for line in Figures("http_server_active_requests")._read().values() if line]


async def _ask(path: str) -> None:
    answer: Any = await AsyncClient(raise_request_exception=False).get(path)
    if answer.streaming:
        async for _part in answer:
            pass
        answer.close()


@pytest.mark.parametrize(
    ("method", "expected"),
    [("POST", "POST"), ("HEAD", "HEAD"), ("PROPFIND", "_OTHER")],
)
def test_methods_that_nobody_knows_are_one(counted: Figures, method: str, expected: str) -> None:
    """A client cannot make series by its method."""
    Client().generic(method, "/")
    assert counted.new() == [row("/", "200", method=expected)]


def test_a_host_that_is_refused_counts(counted: Figures) -> None:
    """What Django turns away before any view is a request too."""
    Client(headers={"host": "evil.example"}).get("/items/1")
    assert counted.new() == [row("", "400")]


def test_a_stream_counts_when_it_has_ended(counted: Figures) -> None:
    """Until then it is active; one that is closed before its end was left by its client."""
    active = Figures("http_server_active_requests")
    paths = ("/stream", "/stream", "/broken-stream")
    whole, left, broken = (Client().get(path) for path in paths)
    assert counted.new() == []
    assert active.new() == [{"http_request_method": "GET", "n": 3.0}]
    assert b"".join(whole) == b"ab"
    whole.close()
    assert counted.new() == [row("stream", "200")]
    next(iter(left))
    left.close()
    with pytest.raises(site.OddError):
        list(broken)
    broken.close()
    assert counted.new() == [
        row("stream", "200", error="client_disconnected"),
        row("broken-stream", "200", error=ODD),
        row("stream", "200"),
    ]
    assert active.new() == []


def test_an_async_stream_counts_when_it_has_ended(counted: Figures) -> None:
    """And one that is left counts as such."""

    async def ask() -> None:
        whole: Any = await AsyncClient().get("/stream-async")
        assert [part async for part in whole] == [b"a", b"b"]
        whole.close()
        left: Any = await AsyncClient().get("/stream-async")
        await anext(aiter(left))
        left.close()

    asyncio.run(ask())
    assert counted.new() == [
        row("stream-async", "200", error="client_disconnected"),
        row("stream-async", "200"),
    ]


def test_a_worker_that_is_ended_in_a_request(counted: Figures) -> None:
    """The exit that gunicorn raises passes through, and the request has no status."""
    with pytest.raises(SystemExit):
        Client().get("/exits")
    assert counted.new() == [row("exits", error="SystemExit")]


@pytest.mark.parametrize("path", ["forks", "stream-that-forks"])
def test_a_child_that_leaves_through_a_request(counted: Figures, path: str) -> None:
    """The request ends in the process in which it began, and nowhere else."""
    active = Figures("http_server_active_requests")
    read, write = os.pipe()
    parent = os.getpid()
    try:
        answer: Any = Client().get(f"/{path}")
        if answer.streaming:
            assert list(answer) == [b"well"]
            answer.close()
    except SystemExit:
        os.write(write, str([counted.new(), active.new()]).encode())
    finally:
        if os.getpid() != parent:
            os._exit(0)
    begun = {"http_request_method": "GET", "n": 1.0}
    assert os.read(read, 1000).decode() == str([[], [begun]])
    assert (counted.new(), active.new()) == ([row(path, "200")], [])
    os.close(read)
    os.close(write)


def test_a_request_that_is_cancelled(counted: Figures) -> None:
    """As an ASGI server does when the client goes away."""

    async def ask() -> None:
        active = Figures("http_server_active_requests")
        site.WAITS.clear()
        task = asyncio.ensure_future(AsyncClient().get("/waits"))
        while not site.WAITS.is_set():  # before that there is no route
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert active.new() == []

    asyncio.run(ask())
    assert counted.new() == [row("waits", error="asyncio.exceptions.CancelledError")]


@pytest.mark.parametrize("name", ["", "-async", "-class", "-method", "-twin"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_view_can_be_left_out(counted: Figures, name: str, is_async: bool) -> None:
    """By a decorator, of a function, a method and a class; the view that it was given counts."""
    path = f"/unmeasured{name}"
    if is_async:
        asyncio.run(_ask(path))
    else:
        assert Client().get(path).content == b"well"
    assert counted.new() == []
    Client().get("/")
    assert counted.new() == [row("/", "200")]


def other_host(get_response: Any) -> Any:
    """Choose other URLs by a parameter, whose view is left out and has the same route."""
    other: Any = (urls.path("missing", site.unmeasured),)

    def middleware(request: HttpRequest) -> Any:
        if "elsewhere" in request.GET:
            request.urlconf = other
        return get_response(request)

    return middleware


@pytest.mark.parametrize("first", ["?elsewhere", ""])
def test_a_view_that_is_left_out_takes_no_other_with_it(counted: Figures, first: str) -> None:
    """Two views may have one route, by host; that the one counts depends on none before it."""
    with override_settings(MIDDLEWARE=[*MIDDLEWARE, f"{__name__}.other_host"]):
        client = Client()
        for query in (first, "?elsewhere", "", "?elsewhere"):
            client.get(f"/missing{query}")
    n = 1.0 if first else 2.0
    assert counted.new() == [{**row("missing", "404"), "n": n}]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["^api/", "^$"], ["", "/", "items/<int:number>/"]),
        (["^/$"], ["", "api/v1/<slug:name>", "items/<int:number>/"]),
        ([""], [""]),
    ],
)
def test_paths_and_routes_can_be_left_out(
    counted: Figures, patterns: list[str], expected: list[str]
) -> None:
    """By expressions that match a part; the home page is ``/``, and what has no route counts."""
    left_out = {"PATHS": ["^/items/1", "^/miss"], "ROUTES": patterns}
    with override_settings(SENTINEL_REQUESTS_NOT_MEASURED=left_out):
        client = Client()
        for path in ("/items/17/", "/items/27/", "/missing", "/api/v1/x", "/nowhere", "/"):
            client.get(path)
    assert sorted(one.get("http_route", "") for one in counted.new()) == expected


def test_nothing_is_measured_unless_it_is_named(counted: Figures) -> None:
    """Without ``requests`` the middleware answers scrapes, and no more."""
    with override_settings(SENTINEL_INSTRUMENT=["database"]):
        assert Client().get("/").content == b"well"
        assert Client().get("/stream").status_code == 200
        asyncio.run(_ask("/async"))
    assert counted.new() == []


def test_a_fault_of_ours_breaks_no_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the answer is the view's."""

    def raises(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ours")

    for name in ("begin", "end"):
        with monkeypatch.context() as patch:
            patch.setattr(requests.Requests, name, raises)
            assert Client().get("/").content == b"well"
            assert b"".join(Client().get("/stream")) == b"ab"
            asyncio.run(_ask("/async"))
        assert "a request is not measured" in caplog.text
        caplog.clear()


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("RateLimited", 429),
        ("Denied", 403),
        ("CircuitOpen", 503),
        ("InvalidArguments", 400),
        ("Killed", 504),
    ],
)
def test_how_a_tool_call_ended_is_answered(counted: Figures, name: str, status: int) -> None:
    """An exception that says so becomes an answer, with when to try again."""
    answer = Client().get(f"/tool/{name}")
    assert answer.status_code == status
    assert answer.json() == {"error": "told"}
    assert answer["Retry-After"] == "2"
    error = str(status) if status >= 500 else ""
    assert counted.new() == [row("tool/<str:name>", str(status), error=error)]


@pytest.mark.parametrize(
    ("after", "header"),
    [("0", "0"), ("0.1", "1"), ("2147483648", "2147483648"), ("30", "30")]
    + [(after, None) for after in ("inf", "-inf", "nan", "-1", "-0.1", "1e300")],
)
def test_when_to_try_again(after: str, header: str | None) -> None:
    """In whole seconds, or not at all where it is no such number; never a fault of its own."""
    answer = Client().get("/tool/RateLimited", {"after": after})
    assert (answer.status_code, answer.headers.get("Retry-After")) == (429, header)
    assert answer.json() == {"error": "told"}


def test_an_exception_of_the_services_own() -> None:
    """It may forget its base, and be answered all the same."""

    class Busy(instrument.RateLimited):
        def __init__(self) -> None:
            """Do not ask the base."""

    def view(request: HttpRequest) -> HttpResponse:
        raise Busy

    answer = MetricsMiddleware(view).process_exception(RequestFactory().get("/"), Busy())
    assert answer is not None
    assert (answer.status_code, answer.content) == (429, b'{"error": "rate_limited"}')


def test_what_clients_choose_makes_no_series(counted: Figures) -> None:
    """Random paths, methods, hosts, headers and bodies end in few series, and no fault."""
    rng = random.Random(3)

    def word() -> str:
        return "".join(rng.choices(string.ascii_letters + string.digits + "-_.~%", k=8))

    client = Client(raise_request_exception=False)
    for _ in range(REQUESTS // 4):
        path = rng.choice(["/", "/items/", "/api/v1/", "/old/", "/broken/", "/tool/"]) + word()
        client.generic(
            rng.choice([word(), "GET", "POST"]),
            path,
            noise(rng),
            rng.choice(["application/json", "multipart/form-data; boundary=a", "text/plain"]),
            query_params={word(): word()},
            headers={
                "host": rng.choice([word(), "testserver"]),
                "traceparent": word(),
                "x-forwarded-for": word(),
            },
        )
    series = counted.new()
    assert sum(one["n"] for one in series) == REQUESTS // 4
    assert len(series) < 40
    faults = {one["http_route"] for one in series if one["http_response_status_code"] >= "500"}
    assert faults <= {"tool/<str:name>"}, "a fault that is none of the view's own"
    assert all(one.get("http_request_method") in ("GET", "POST", "_OTHER") for one in series)


def test_the_middleware_alone() -> None:
    """It takes any view for the rest, and one that Django does not need is passed on."""

    def unused(request: HttpRequest) -> HttpResponse:
        raise MiddlewareNotUsed

    with pytest.raises(MiddlewareNotUsed):
        MetricsMiddleware(unused)(AsyncRequestFactory().get("/"))
