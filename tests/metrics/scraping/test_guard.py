"""What keeps one scrape, or one collector, from spoiling the others."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from metrics.scraping.guard import CollectorGuard
from tests.metrics.scraping.background import in_background, soon


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

    monkeypatch.setattr(threading.Thread, "start", start)
    result = CollectorGuard().run([("g", Good().collect)], soon())
    assert result.failed == {"g": "can't start new thread"}


def test_two_scrapes_behind_a_hung_collector(client: Client, registered: Any) -> None:
    """Both are served without it, though the second's time ends with the first's."""
    registered(Good())
    hung = registered(Hung())
    headers = {"x-prometheus-scrape-timeout-seconds": "1"}

    def ask(**limit: str) -> Any:
        return Client().get("/metrics", headers={**headers, **limit})

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
