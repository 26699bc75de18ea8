"""Processes of a user who may have no place for a run directory; they set Django up themselves."""

from __future__ import annotations

import os
import time

import django


def find() -> list[object]:
    """Return what the application and ``sentinel-health`` find, and whether it works.

    A list: the directory of the settings, that of the console script, what hinders a
    board, and how many processes have a lane.
    """
    os.umask(0o022)
    django.setup()
    from health import cli
    from health.board.stores.file import FileStore
    from health.conf import conf
    from metrics import shared
    from metrics.registry import METRICS

    run_dir = conf.run_dir
    error = ""
    METRICS.record_rate_limit_hit("t")
    try:
        assert run_dir is not None
        FileStore(run_dir).update(lambda document: document)
    except OSError as e:
        error = str(e)
    store = shared.current()
    return [
        str(run_dir or ""),
        cli._find([], [])[0],
        error,
        len(store.workers()) if store else None,
    ]


def serve_alone() -> list[object]:
    """Count, and wait for readiness; return its status, and whether a scrape has the count."""
    django.setup()
    from django.test import Client

    from metrics.registry import METRICS
    from metrics.scraping.scraper import SCRAPER

    METRICS.record_rate_limit_hit("t")
    deadline = time.monotonic() + 30
    while (ready := Client().get("/ready").status_code) != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    text = SCRAPER.render().text
    return [ready, 'sentinel_rate_limit_hits_total{tool="t"} 1.0' in text]
