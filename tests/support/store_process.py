"""The inside of a process with a store of its own, for tests of the shared store.

``python -m tests.support.store_process DIRECTORY PRELUDE`` runs the prelude, and then what
it reads from standard input, each line a statement or an expression in JSON.
``python -m tests.support.store_process DIRECTORY --call MODULE FUNCTION [JSON ...]`` calls
a function with a `StoreProcess` and what follows; its answer is printed as JSON.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary
from prometheus_client import Enum as StateSet
from prometheus_client.registry import Collector

from metrics import shared
from metrics.system.run_dir import RunDir
from tests.support.store_peers import figures


class _Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class _Anything(CollectorRegistry):
    """One in which a name may stand more than once."""

    def register(self, collector: Collector) -> None:
        """Take no notice of the names."""


class StoreProcess:
    """The process that runs: a store in ``directory``, and a registry that is shared.

    Where the store is expected not to be installed, ``installs`` is False.
    """

    def __init__(self, directory: str, *, installs: bool = True) -> None:
        self.directory = directory
        handler = _Log()
        self.log = handler.lines
        logging.getLogger("metrics").addHandler(handler)
        logging.getLogger("metrics").propagate = False
        self.store = shared.Store(directory)
        assert shared.install(self.store) is installs
        self.registry = shared.share(_Anything())

    def reinstall(self, place: RunDir | None = None, **options: Any) -> shared.Store:
        """Install a store with other options in place of the first, or one for ``place``."""
        shared.uninstall()
        self.store = shared.Store(place or self.directory, **options)
        assert shared.install(self.store)
        return self.store

    def scrape(self) -> dict[str, float]:
        """Return what a scrape answered here shows; faults only if there were any."""
        return figures(self.store.snapshot())

    def counter(self, name: str = "c", labels: Sequence[str] = ()) -> Counter:
        """Make a counter that is shared."""
        return Counter(name, "help", labels, registry=self.registry)

    def gauge(self, mode: Any, name: str = "g", labels: Sequence[str] = ()) -> Gauge:
        """Make a gauge that is shared."""
        return Gauge(name, "help", labels, registry=self.registry, multiprocess_mode=mode)

    def histogram(
        self,
        name: str = "h",
        labels: Sequence[str] = (),
        buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS,
    ) -> Histogram:
        """Make a histogram that is shared."""
        return Histogram(name, "help", labels, registry=self.registry, buckets=buckets)

    def names(self) -> dict[str, Any]:
        """Return the names that lines sent to this process may use."""
        return {
            "process": self,
            "store": self.store,
            "scrape": self.scrape,
            "counter": self.counter,
            "gauge": self.gauge,
            "shared": shared,
            "DIR": self.directory,
            "LOG": self.log,
            "SHARED": self.registry,
            "CollectorRegistry": CollectorRegistry,
            "Counter": Counter,
            "Enum": StateSet,
            "Gauge": Gauge,
            "Histogram": Histogram,
            "Info": Info,
            "Summary": Summary,
            "json": json,
            "os": os,
            "signal": signal,
            "threading": threading,
            "time": time,
        }


def _obey(scope: dict[str, Any]) -> None:
    """Run the lines of standard input, and answer each."""
    for line in sys.stdin:
        kind, code = json.loads(line)
        try:
            if kind == "run":
                exec(code, scope)
                answer = None
            else:
                answer = eval(code, scope)
            print(json.dumps(["ok", answer]), flush=True)
        except Exception:  # noqa: BLE001 - the test is told of it, whatever it is
            print(json.dumps(["error", traceback.format_exc()]), flush=True)


def main(directory: str, word: str, *words: str) -> None:
    """Do what the words of the command line say."""
    process = StoreProcess(directory)
    if word == "--call":
        module, name, *arguments = words
        function = getattr(importlib.import_module(module), name)
        answer = function(process, *map(json.loads, arguments))
        if answer is not None:
            print(json.dumps(answer))
        return
    scope = process.names()
    exec(word, scope)
    _obey(scope)


if __name__ == "__main__":
    main(*sys.argv[1:])
