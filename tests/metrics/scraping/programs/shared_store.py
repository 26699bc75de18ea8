"""Processes that count into the shared store, and answer scrapes of it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prometheus_client import (
    REGISTRY,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Metric,
    ProcessCollector,
    Summary,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from metrics.exposition import OPENMETRICS_1_0_0, TEXT_0_0_4, TEXT_1_0_0, Escaping, Format
from metrics.registry import METRICS
from metrics.scraping import templates
from metrics.scraping.gatherer import GATHERER
from metrics.scraping.options import Options
from metrics.scraping.scraper import SCRAPER
from metrics.shared import store
from metrics.shared.reading import created_times, reader


class Families:
    """A family of each type, the same in all processes."""

    def __init__(self) -> None:
        self.jobs = Counter("t_jobs", "Jobs", ["kind"])
        self.size = Histogram("t_size", "Sizes", buckets=(1, 2))
        self.wait = Summary("t_wait", "Waits")
        self.asked = Gauge("t_asked", "Asked", multiprocess_mode="sum")
        self.state = Enum("t_state", "State", states=["on", "off"])
        self.about = Info("t_about", "About")


def count_with_exemplars() -> None:
    """Count with exemplars, and a NaN."""
    t = Families()
    t.jobs.labels("a").inc(2, {"trace_id": "abc"})
    t.size.observe(1.5, {"trace_id": "def"})
    t.wait.observe(math.nan)


def answer_in_openmetrics() -> None:
    """Count once more, and print a scrape."""
    t = Families()
    t.jobs.labels("a").inc()
    t.state.state("off")
    t.about.info({"v": "1"})
    print(SCRAPER.render(OPENMETRICS_1_0_0).text, end="")


class AwkwardFamilies:
    """Families for the labels and values in the file ``path``."""

    def __init__(self, path: str) -> None:
        Families()
        self.awkward = json.loads(Path(path).read_text())
        self.odd = Counter("t_odd", "Odd", ["i", "v"])
        self.number = Gauge("t_number", "Number", ["i"], multiprocess_mode="mostrecent")


def count_awkwardly(path: str) -> None:
    """Count for awkward labels, and set awkward values."""
    t = AwkwardFamilies(path)
    for i, label in enumerate(t.awkward["labels"]):
        t.odd.labels(str(i), label).inc(i)
    t.odd.labels("lone", "\ud800").inc()
    for i, value in enumerate(t.awkward["values"]):
        t.number.labels(str(i)).set(float(value))


def answer_awkwardly(path: str) -> list[str]:
    """Return a scrape of the awkward families in each format."""
    AwkwardFamilies(path)
    options = Options(frozenset(["t_odd", "t_number"]))
    formats = TEXT_0_0_4, TEXT_1_0_0, OPENMETRICS_1_0_0
    return [SCRAPER.render(fmt, options).text for fmt in formats]


def answer_with_units() -> None:
    """Count for families with units, and print a scrape."""
    Families()
    METRICS.record_request("echo", "success", 0.1)
    sent = Counter("t_sent", "Sent", unit="bytes")
    sent.inc(3)
    one, two = (GATHERER.gather(30.0).snapshot for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.layout is two.layout
    print(SCRAPER.render(OPENMETRICS_1_0_0).text, end="")


def answer_with_labels_of_ours(names: list[str], values: list[dict[str, str]]) -> list[Any]:
    """Set a gauge whose labels have these names; print a scrape, return the labels in it."""
    Families()
    own = Gauge("t_own", "Own", names)
    for labels in values:
        own.labels(**labels).set(1)
    print(SCRAPER.render(OPENMETRICS_1_0_0, Options(frozenset(["t_own"]))).text, end="")
    [family] = [one.family for one in SCRAPER.read().families if one.family.name == "t_own"]
    return [dict(key.labels) for key in family.samples]


def answer_with_families_of_ours() -> None:
    """Print two scrapes, in text and in OpenMetrics, with families under names of ours."""

    class Children(Collector):
        def describe(self) -> Iterable[Metric]:
            return []

        def collect(self) -> Iterable[Metric]:
            memory = GaugeMetricFamily("process_resident_memory_bytes", "", labels=["worker"])
            memory.add_metric(["mine"], 1)
            yield memory
            yield CounterMetricFamily("process_threads", "", 2)
            yield GaugeMetricFamily("sentinel_build_info", "", labels=["version"])

    t = Families()
    REGISTRY.register(Children())
    REGISTRY.register(ProcessCollector(namespace="t_db", registry=None))
    t.jobs.labels("a").inc()
    print(SCRAPER.render().text, end="")
    print("=====")
    print(SCRAPER.render(OPENMETRICS_1_0_0).text, end="")


class Gauges:
    """A gauge of several modes, and one without a mode."""

    def __init__(self) -> None:
        self.jobs = Families().jobs
        self.of_modes = {
            mode: Gauge(f"t_{mode}", "Mode", ["of"], multiprocess_mode=mode)
            for mode in ("all", "liveall", "livemax", "livemostrecent", "max", "mostrecent")
        }
        self.default = Gauge("t_default", "No mode")


def set_gauges() -> None:
    """Set all gauges, as a command does that ends then."""
    t = Gauges()
    t.default.set(1)
    t.jobs.labels("a").inc()
    for gauge in t.of_modes.values():
        gauge.labels("command").set(5)


def answer_with_gauges() -> None:
    """Print a scrape of the gauges."""
    Gauges()
    print(SCRAPER.render().text)


def set_asked() -> None:
    """Set a gauge that another process asks a function for."""
    Families().asked.set(5)


def answer_with_a_function() -> None:
    """Print a scrape with a gauge that asks a function."""
    Families().asked.set_function(lambda: 7)
    print(SCRAPER.render().text)


def answer_without_the_store(broken: str) -> None:
    """Print a scrape, and what it leaves out, where the store or its reader raises."""
    Families().jobs.labels("a").inc()

    def snapshot(*args: object) -> None:
        raise OSError("no such luck")

    classes: dict[str, Any] = {"store.Store": store.Store, "reader.Reader": reader.Reader}
    classes[broken].snapshot = snapshot
    rendered = SCRAPER.render()
    print(rendered.text, rendered.left_out)


def prepare_once() -> None:
    """Print whether texts of templates are made anew only when they have to be."""
    t = Families()
    made: list[int] = []
    module: Any = templates
    own = module.template

    def counted(*args: Any, **options: Any) -> Any:
        made.append(1)
        return own(*args, **options)

    module.template = counted
    formats = [TEXT_0_0_4, TEXT_1_0_0] + [
        Format("application/openmetrics-text", "1.0.0", scheme) for scheme in Escaping
    ]
    t.jobs.labels("a").inc()
    for fmt in formats:
        SCRAPER.render(fmt)
    first = len(made)
    for number in range(20):  # others' filters, however many, drive nothing out
        SCRAPER.render(options=Options(frozenset({f"t_{number}"})))
    filtered = len(made)
    t.jobs.labels("a").inc()
    for fmt in formats:
        text = SCRAPER.render(fmt).text
    print('t_jobs_total{kind="a"} 2.0' in text)
    print(first == 3 * len(formats), len(made) == filtered)
    t.jobs.labels("b").inc()
    for fmt in formats:
        SCRAPER.render(fmt)
    print(len(made) - filtered == len(formats), len(SCRAPER._templates._whole) == first)


def count_once() -> None:
    """Count once for each type."""
    t = Families()
    t.jobs.labels("a").inc(2, {"trace_id": "abc"})
    t.size.observe(1.5, {"trace_id": "def"})
    t.wait.observe(3)
    t.asked.set(1)


def answer_with_created() -> list[str]:
    """Return scrapes with the times at which series were made: two formats, three filters."""
    t = Families()
    t.jobs.labels("a").inc()
    t.jobs.labels('b "c"').inc()
    of_samples = frozenset({"t_jobs_created", "t_size_created"})
    filters = [None, frozenset({"t_jobs"}), of_samples]
    return [
        SCRAPER.render(fmt, Options(names, created=True)).text
        for fmt in (OPENMETRICS_1_0_0, TEXT_0_0_4)
        for names in filters
    ]


def remove_and_make_again() -> None:
    """Print whether a series that came back was made when it came back."""
    t = Families()

    def made() -> dict[str, float]:
        text = SCRAPER.render(options=Options(frozenset(["t_jobs_created"]), created=True)).text
        return {
            line.split('"')[1]: float(line.split()[1])
            for line in text.splitlines()
            if line[0] != "#"
        }

    t.jobs.labels("a").inc()
    t.jobs.labels("b").inc()
    before = made()
    t.jobs.remove("a")
    print(sorted(made()) == ["b"])
    moment = time.time()
    t.jobs.labels("a").inc()
    after = made()
    print(after["b"] == before["b"], before["a"] < moment < after["a"] + 0.001)


def answer_without_created_times() -> None:
    """Print whether a scrape is served when the times cannot be read, and what it leaves out."""
    Families().jobs.labels("a").inc()

    def read(directory: object) -> Any:
        raise PermissionError("not yours")

    created_times.read = read
    rendered = SCRAPER.render(options=Options(created=True))
    print('t_jobs_total{kind="a"} 1.0' in rendered.text, rendered.left_out)
