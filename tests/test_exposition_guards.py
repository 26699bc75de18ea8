"""What keeps one scrape, or one collector, from spoiling the others."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from prometheus_client import Gauge, Metric
from prometheus_client.core import GaugeMetricFamily
from pytest_django import Settings

from metrics import views
from metrics.registry import REGISTRY
from metrics.scraping import coalesce as flight_module
from metrics.scraping import guard
from metrics.scraping.coalesce import Coalescer
from metrics.scraping.guard import CollectorGuard
from metrics.scraping.scraper import SCRAPER

TEXT = "text/plain; charset=utf-8"


def soon(seconds: float = 30.0) -> float:
    """Return a deadline."""
    return time.monotonic() + seconds


class Good:
    """A collector as it should be."""

    def collect(self) -> list[Metric]:
        """Return one sample."""
        return [GaugeMetricFamily("guards_good", "Good", 1)]


class Broken:
    """A collector that begins well and then raises."""

    def collect(self) -> Iterator[Metric]:
        """Return one sample, then raise."""
        yield GaugeMetricFamily("guards_broken", "Broken", 1)
        raise KeyError("a secret of the database")


class Hung:
    """A collector that does not end before it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.let_go = threading.Event()

    def collect(self) -> list[Metric]:
        """Wait."""
        self.calls += 1
        self.let_go.wait(60)
        return []


@pytest.fixture
def registered() -> Iterator[Any]:
    """Return a function that registers a collector until the test ends."""
    known: list[Any] = []

    def register(collector: Any) -> Any:
        REGISTRY.register(collector)
        known.append(collector)
        return collector

    yield register
    for collector in known:
        REGISTRY.unregister(collector)


def test_a_broken_collector_is_left_out(
    client: Client, registered: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest is served; the scrape says that something is missing, the log says what."""
    registered(Good())
    registered(Broken())
    caplog.set_level(logging.ERROR)
    response = client.get("/metrics")
    text = response.content.decode()
    assert response.status_code == 200
    assert "guards_good 1.0\n" in text
    assert "guards_broken" not in text
    assert "secret" not in text
    assert "\nsentinel_scrape_left_out 1.0\n" in text
    name = f"{__name__}.Broken"
    assert f"Collector {name} is left out of the scrape: it raised KeyError" in caplog.text
    again = client.get("/metrics").content.decode()
    assert caplog.text.count("is left out of the scrape") == 1
    assert f'sentinel_collector_failures_total{{collector="{name}"}} 2.0\n' in again


def test_a_hung_collector_is_left_behind(client: Client, registered: Any) -> None:
    """A collector that does not end in time costs the scrape that time, and is not run twice."""
    hung = registered(Hung())
    headers = {"x-prometheus-scrape-timeout-seconds": "0.2"}
    try:
        for _ in range(3):
            response = client.get("/metrics", headers=headers)
            assert response.status_code == 200
            assert b"sentinel_scrape_left_out 1.0\n" in response.content
        assert hung.calls == 1
    finally:
        hung.let_go.set()


def test_a_collector_that_recovers_is_back() -> None:
    """Once it has ended, a collector that was left behind is asked again."""
    guard, hung = CollectorGuard(), Hung()
    assert list(guard.run([("h", hung.collect)], time.monotonic()).failed) == ["h"]
    hung.let_go.set()
    guard._running["h"].thread.join()
    assert guard.run([("h", hung.collect)], soon()).failed == {}
    assert hung.calls == 2


class Lazy(Metric):
    """A metric that makes its samples when it is asked for them."""

    def __init__(self, name: str, error: BaseException) -> None:
        self._error = error
        super().__init__(name, "Lazy", "gauge")

    @property
    def samples(self) -> list[Any]:
        """Fail."""
        raise self._error

    @samples.setter
    def samples(self, value: object) -> None: ...


@pytest.mark.parametrize("error", [RuntimeError("x"), SystemExit(1), asyncio.CancelledError()])
def test_what_fails_late_is_named_too(error: BaseException) -> None:
    """Samples that fail when they are looked at, and even an exit, are the collector's fault."""

    def leave() -> list[Metric]:
        raise error

    guard = CollectorGuard()
    lazy = lambda: [Lazy("guards_lazy", error)]  # noqa: E731
    result = guard.run([("lazy", lazy), ("leaves", leave), ("good", Good().collect)], soon())
    reason = f"it raised {type(error).__name__}"
    assert result.failed == {"lazy": reason, "leaves": reason}
    assert [metric.name for metric in result.metrics] == ["guards_good"]


def test_too_many_fields_are_the_askers_fault(client: Client) -> None:
    """A query with more fields than Django reads is 400, and no fault in the log."""
    response = client.get("/metrics?" + "&".join(["a=1"] * 1200))
    assert (response.status_code, response["Content-Type"]) == (400, TEXT)
    assert response.content == b"Bad request"


@pytest.mark.parametrize(
    ("enabled", "status", "length"), [(False, 404, 19), (True, 401, 12)], ids=["off", "refused"]
)
def test_a_refused_head_has_no_body(
    settings: Settings, enabled: bool, status: int, length: int
) -> None:
    """HEAD gets the length of the words that GET would get, and not the words."""
    settings.SENTINEL_METRICS_ENABLED = enabled
    settings.SENTINEL_METRICS_ACCESS = {"BEARER": ["a-token-that-nobody-has"]}
    response = views.metrics(RequestFactory().head("/metrics"))
    assert (response.status_code, response.content) == (status, b"")
    assert response["Content-Length"] == str(length)


def test_collectors_run_side_by_side() -> None:
    """Slow collectors wait for each other's time, not one after another."""
    barrier = threading.Barrier(3)

    def collect() -> list[Metric]:
        barrier.wait(30)
        return [GaugeMetricFamily("a", "", 1)]

    result = CollectorGuard().run([(str(i), collect) for i in range(3)], soon())
    assert (len(result.metrics), result.failed) == (3, {})


def test_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started the collector is left out and nothing else happens."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(guard.threading.Thread, "start", start)
    result = CollectorGuard().run([("g", Good().collect)], soon())
    assert result.failed == {"g": "can't start new thread"}


def test_a_gauge_that_asks_a_function(client: Client, registered: Any) -> None:
    """A gauge with set_function shows what the function gives; one that raises is left out."""
    gauge = registered(Gauge("guards_asked", "Asked", ["n"], registry=None))
    gauge.labels("1").set_function(lambda: 42)
    assert 'guards_asked{n="1"} 42.0\n' in client.get("/metrics").content.decode()
    gauge.labels("2").set_function(lambda: 1 / 0)
    text = client.get("/metrics").content.decode()
    assert "guards_asked{" not in text
    assert "\nsentinel_scrape_left_out 1.0\n" in text


def test_target_info(client: Client) -> None:
    """The registry's target_info is part of the scrape."""
    REGISTRY.set_target_info({"env": "test"})
    try:
        assert 'target_info{env="test"} 1.0\n' in client.get("/metrics").content.decode()
    finally:
        REGISTRY.set_target_info(None)


def test_waiting_scrapes_share_one_run() -> None:
    """Callers that come while a run is under way share the next one, which begins after."""
    flight: Coalescer[int] = Coalescer()
    numbers = itertools.count(1)
    gates = [threading.Event(), threading.Event()]

    def work() -> int:
        number = next(numbers)
        gates[number - 1].wait(30)
        return number

    results: list[int] = []
    first = threading.Thread(target=lambda: results.append(flight.run(work, soon())))
    first.start()
    while not flight._busy:
        time.sleep(0.001)
    others = [
        threading.Thread(target=lambda: results.append(flight.run(work, soon()))) for _ in range(8)
    ]
    for thread in others:
        thread.start()
    for gate in gates:
        gate.set()
    for thread in (first, *others):
        thread.join()
    assert sorted(results)[0] == 1
    assert set(sorted(results)[1:]) == {2}


def test_a_failed_run_fails_for_all_and_the_next_one_is_new() -> None:
    """What the work raises reaches the caller, and the flight can be used again."""
    flight: Coalescer[int] = Coalescer()
    with pytest.raises(ZeroDivisionError):
        flight.run(lambda: 1 // 0, soon())
    assert flight.run(lambda: 7, soon()) == 7


def in_background(work: Any) -> tuple[threading.Thread, list[Any]]:
    """Run ``work`` in a thread; return it and the list that its result will be in."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


def test_who_has_waited_in_vain_works_alone() -> None:
    """Behind a run that does not end, a caller whose time is up does the work for himself."""
    flight: Coalescer[str] = Coalescer()
    gate = threading.Event()
    thread, results = in_background(lambda: flight.run(lambda: str(gate.wait(30)), soon()))
    while not flight._busy:
        time.sleep(0.001)
    assert flight.run(lambda: "alone", time.monotonic() + 0.01) == "alone"
    gate.set()
    thread.join()
    assert results == ["True"]
    assert flight.run(lambda: "next", soon()) == "next"


@pytest.mark.parametrize(("took", "expected"), [(90.0, "first"), (10.0, "second")])
def test_who_has_little_time_left_takes_what_there_is(
    monkeypatch: pytest.MonkeyPatch, took: float, expected: str
) -> None:
    """After a run that took longer than what is left, its result is as good as it gets."""
    clock = [0.0]
    monkeypatch.setattr(flight_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    flight: Coalescer[str] = Coalescer()
    gate = threading.Event()

    def first() -> str:
        gate.wait(30)
        return "first"

    one, _ = in_background(lambda: flight.run(first, 1000.0))
    while not flight._busy:
        time.sleep(0.001)
    waiting = threading.Event()
    wait = flight._changed.wait
    monkeypatch.setattr(flight._changed, "wait", lambda left: waiting.set() or wait(left))
    two, results = in_background(lambda: flight.run(lambda: "second", 95.0))
    waiting.wait(30)
    with flight._changed:  # from here on he really waits
        clock[0] = took
    gate.set()
    for thread in (one, two):
        thread.join()
    assert results == [expected]


def test_two_scrapes_behind_a_hung_collector(client: Client, registered: Any) -> None:
    """Both are served without it, though the second's time ends with the first's."""
    registered(Good())
    hung = registered(Hung())
    headers = {"x-prometheus-scrape-timeout-seconds": "1"}

    def ask(**limit: str) -> HttpResponse:
        response: HttpResponse = Client().get("/metrics", headers={**headers, **limit})
        return response

    try:
        one, first = in_background(ask)
        while not hung.calls:
            time.sleep(0.001)
        two, second = in_background(ask)
        hasty = {"x-prometheus-scrape-timeout-seconds": "0.2"}
        three, third = in_background(lambda: ask(**hasty))
        for thread in (one, two, three):
            thread.join()
        for [response] in (first, second, third):
            assert response.status_code == 200
            assert b"\nguards_good 1.0\n" in response.content
            assert b"\nsentinel_scrape_left_out 1.0\n" in response.content
        assert hung.calls == 1
        counted = f'sentinel_collector_failures_total{{collector="{__name__}.Hung"}} '
        again = client.get("/metrics", headers=headers).content.decode()
        assert float(again.partition(counted)[2].split()[0]) >= 2
    finally:
        hung.let_go.set()


def test_a_child_forked_during_a_run_can_scrape() -> None:
    """A fork while another thread is at work leaves the child a flight of its own."""
    flight: Coalescer[int] = Coalescer()
    gate = threading.Event()
    thread = threading.Thread(target=lambda: flight.run(lambda: int(gate.wait(30)), soon()))
    thread.start()
    while not flight._busy:
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        os._exit(0 if flight.run(lambda: 3, soon(5)) == 3 else 1)
    _, status = os.waitpid(child, 0)
    gate.set()
    thread.join()
    assert status == 0


def test_too_many_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit of scrapes in flight the answer is 503 with Retry-After, and counted."""
    monkeypatch.setattr(views, "_places", threading.BoundedSemaphore(1))
    views._places.acquire()
    response = client.get("/metrics")
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert (response.content, response["Content-Type"]) == (b"Too many scrapes at once", TEXT)
    views._places.release()
    text = client.get("/metrics").content.decode()
    assert 'sentinel_scrapes_total{code="503"} ' in text
    assert 'sentinel_scrapes_total{code="503"} 0.0' not in text


def test_a_fault_of_ours(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the scrape is 500 without a word about it, and frees its place."""

    def render(*args: object, **kwargs: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(views, "_places", threading.BoundedSemaphore(1))
    with monkeypatch.context() as patch:
        patch.setattr(SCRAPER, "render", render)
        for _ in range(3):
            response = client.get("/metrics")
            assert (response.status_code, response.content) == (500, b"The scrape failed")
    assert client.get("/metrics").status_code == 200


def test_self_metrics_begin_at_zero() -> None:
    """Every status that can be counted is there before it happens."""
    codes = {
        dict(key.labels)["code"]
        for figures in SCRAPER.read().families
        if figures.family.name == "sentinel_scrapes"
        for key, _ in figures.samples
        if key.name == "sentinel_scrapes_total"
    }
    assert {"200", "400", "401", "403", "405", "500", "503"} <= codes


def test_a_scrape_counts_itself_in_flight(client: Client) -> None:
    """The gauge shows the very scrape, and is back at 0 afterwards."""
    assert "\nsentinel_scrapes_in_flight 1.0\n" in client.get("/metrics").content.decode()
    assert "\nsentinel_scrapes_in_flight 0.0\n" in SCRAPER.render().text


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 10.0),
        ("", 10.0),
        ("20", 18.0),
        ("0.5", 0.45),
        ("0", 10.0),
        ("-1", 10.0),
        ("nan", 10.0),
        ("inf", 10.0),
        ("1e9", 300.0),
        ("1e-9", 0.05),
        ("soon", 10.0),
    ],
)
def test_time_limit(header: str | None, seconds: float) -> None:
    """A scrape takes a little less than its client waits, within reason."""
    assert views._time_limit(header) == pytest.approx(seconds)


def test_the_middleware_comes_before_host_checks(client: Client, settings: Settings) -> None:
    """A scraper that calls the pod by its address is answered; a visitor there is not."""
    settings.ALLOWED_HOSTS = ["example.org"]
    settings.SECURE_SSL_REDIRECT = True
    response = Client().get("/metrics", headers={"host": "10.1.2.3:8000"})
    assert response.status_code == 200
    assert "Set-Cookie" not in response
    assert Client().get("/admin/", headers={"host": "10.1.2.3"}).status_code == 400
    assert Client().get("/admin/", headers={"host": "example.org"}).status_code == 301


def test_without_the_middleware(client: Client, settings: Settings) -> None:
    """The view alone gives the same, behind the site's own middleware."""
    settings.MIDDLEWARE = [
        name for name in settings.MIDDLEWARE if name != "metrics.middleware.MetricsMiddleware"
    ]
    response = Client(enforce_csrf_checks=True).get("/metrics")
    assert response.status_code == 200
    assert "sentinel_build_info{" in response.content.decode()
    assert "Set-Cookie" not in response
    assert Client(enforce_csrf_checks=True).post("/metrics").status_code == 405


@pytest.mark.parametrize("with_middleware", [True, False])
def test_asgi(settings: Settings, with_middleware: bool) -> None:
    """Under ASGI the answer is the same, through the middleware and through the view."""
    if not with_middleware:
        settings.MIDDLEWARE = []

    async def both() -> tuple[HttpResponse, HttpResponse]:
        client = AsyncClient()
        return await asyncio.gather(client.get("/metrics"), client.get("/no such page"))

    response, other = asyncio.run(both())
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"sentinel_build_info{" in response.content
    assert other.status_code == 404


def test_filter_through_the_view(client: Client) -> None:
    """``name[]`` may come several times; an empty one asks for nothing in particular."""
    text = client.get("/metrics?name[]=sentinel_build_info&name[]=python_info").content.decode()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert names == {"sentinel_build_info", "python_info"}
    assert client.get("/metrics?name[]=").content.count(b"# TYPE") > 5
    assert client.get("/metrics?name[]=no_such_thing").content == b""


def test_created_through_the_view(client: Client, registered: Any) -> None:
    """``?created=1`` shows when each counter began."""
    assert b"sentinel_scrapes_created" not in client.get("/metrics").content
    assert b"sentinel_scrapes_created" in client.get("/metrics?created=1").content
