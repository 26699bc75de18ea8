"""A second endpoint: another registry, other options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import RequestFactory
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from pytest_django import Settings

from metrics.scraping.gatherer import Gatherer
from metrics.scraping.options import Options
from metrics.scraping.scraper import Scraper
from metrics.views import endpoint
from tests.metrics.scraping.programs import endpoint as programs
from tests.support.harness import call


class _Custom:
    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("t_custom", "Custom", 3)


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return a registry that is not shared, with a metric and a collector."""
    registry = CollectorRegistry()
    Counter("t_invoices", "Invoices", registry=registry).inc(2)
    custom: Any = _Custom()  # it need not derive from Collector
    registry.register(custom)
    return registry


def test_an_endpoint_of_a_registry_shows_it_alone(registry: CollectorRegistry) -> None:
    """Neither the service's metrics nor the figures of its processes are there."""
    view = endpoint(Scraper(Gatherer(registry)))
    response = view(RequestFactory().get("/metrics/billing"))
    assert response.status_code == 200
    assert response.content.decode() == (
        "# HELP t_invoices_total Invoices\n"
        "# TYPE t_invoices_total counter\n"
        "t_invoices_total 2.0\n"
        "# HELP t_custom Custom\n"
        "# TYPE t_custom gauge\n"
        "t_custom 3.0\n"
        "# HELP sentinel_scrape_left_out Series, families and collectors missing from this very"
        " scrape; see the log\n"
        "# TYPE sentinel_scrape_left_out gauge\n"
        "sentinel_scrape_left_out 0.0\n"
    )


def test_its_options_hold_where_a_request_says_nothing(registry: CollectorRegistry) -> None:
    """The names that it is made for are all it shows; a request may ask for others."""
    view = endpoint(Scraper(Gatherer(registry), Options(names=frozenset({"t_custom"}))))
    ask = RequestFactory().get
    assert "t_invoices" not in view(ask("/")).content.decode()
    assert "t_invoices" in view(ask("/", {"name[]": "t_invoices"})).content.decode()


def test_it_is_guarded_as_metrics_are(settings: Settings, registry: CollectorRegistry) -> None:
    """SENTINEL_METRICS_ACCESS and SENTINEL_METRICS_ENABLED hold for it, too."""
    view = endpoint(Scraper(Gatherer(registry)))
    ask = RequestFactory().get
    settings.SENTINEL_METRICS_ACCESS = {"BEARER": ["a token"]}
    assert view(ask("/")).status_code == 401
    assert view(ask("/", headers={"authorization": "Bearer a token"})).status_code == 200
    settings.SENTINEL_METRICS_ENABLED = False
    assert view(ask("/")).status_code == 404


def test_a_shared_registry_shows_what_all_processes_counted(tmp_path: Path) -> None:
    """What other registries have in the store is not there."""
    for expected in ("2.0", "4.0"):
        done = call(tmp_path, programs.count_and_answer)
        lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
        assert lines == [f"t_invoices_total {expected}", "sentinel_scrape_left_out 0.0"], done
