"""A process with an endpoint of another registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from metrics.registry import METRICS, share
from metrics.scraping.gatherer import Gatherer
from metrics.scraping.scraper import Scraper


def count_and_answer() -> None:
    """Count in a shared registry and elsewhere; print a scrape of the former."""
    billing = share(CollectorRegistry())
    Counter("t_invoices", "Invoices", registry=billing).inc(2)
    Counter("t_elsewhere", "Elsewhere").inc()
    METRICS.record_request("echo", "success", 0.1)
    print(Scraper(Gatherer(billing)).render().text, end="")
