"""Processes of an application that answer others' scrapes, and one that asks them."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable

from prometheus_client import REGISTRY, Gauge, Info, Metric
from prometheus_client.registry import Collector

from metrics import shared
from metrics.registry import METRICS
from metrics.scraping import answer_scrapes, scrape_socket
from metrics.scraping.gatherer import GATHERER
from metrics.scraping.options import Options
from metrics.scraping.scraper import SCRAPER
from metrics.system.process_kind import declare_process_kind


def application(name: str, then: str = "") -> None:
    """Answer scrapes as ``name`` until standard input ends; ``then`` names a function to call."""
    declare_process_kind("application")
    scrape_socket.LOOK_EVERY_SECONDS = 0.05
    METRICS.record_request("echo", "success", 0.5)
    Info("t_about", "About").info({"name": name})
    answer_scrapes()
    if then:
        globals()[then]()
    print("ready", flush=True)
    sys.stdin.read()


class Hung(Collector):
    """A collector that does not end."""

    def describe(self) -> Iterable[Metric]:
        """Say nothing of what comes."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Take very long."""
        time.sleep(600)
        return []


class Broken(Collector):
    """A collector that raises."""

    def describe(self) -> Iterable[Metric]:
        """Say nothing of what comes."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Fail."""
        raise OSError("no such luck")


def hang_and_break() -> None:
    """Register a collector that hangs and one that raises."""
    REGISTRY.register(Hung())
    REGISTRY.register(Broken())


def fork() -> None:
    """Fork a child that answers as itself, once there is a file ``go``."""
    while GATHERER._listener._at is None:
        time.sleep(0.01)
    if os.fork() == 0:
        while not os.path.exists(os.environ["SENTINEL_VAR_DIR"] + "/go"):
            time.sleep(0.01)
        Info("t_child", "Child").info({"of": "one"})
        answer_scrapes()
        METRICS.record_request("echo", "success", 0.5)
        time.sleep(600)


def count_on() -> None:
    """Count in a thread, and read the store as a scrape does."""
    store = shared.current()
    assert store is not None

    def count() -> None:
        while True:
            store.snapshot()
            METRICS.record_request("echo", "success", 0.5)
            time.sleep(0.05)

    threading.Thread(target=count, daemon=True).start()


def ask(limit: float) -> None:
    """Print what a scrape leaves out that asks the application, and its text."""
    GATHERER.ask_others()
    Info("t_about", "About").info({"name": "the asker"})
    Gauge("t_callback", "Callback", multiprocess_mode="sum").set_function(lambda: -1)
    rendered = SCRAPER.render(options=Options(time_limit=limit))
    print(*rendered.left_out, sep="\n")
    print("=====")
    print(rendered.text, end="")
