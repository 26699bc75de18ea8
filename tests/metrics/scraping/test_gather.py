"""What a scrape takes from the registry beside the store."""

from __future__ import annotations

from typing import Any

from django.test import Client
from prometheus_client import Gauge

from metrics.registry import REGISTRY


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
