"""The figures of the scraper itself."""

from __future__ import annotations

from django.test import Client

from metrics.scraping.scraper import SCRAPER


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
