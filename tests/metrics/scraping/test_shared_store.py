"""A scrape of the shared store, read by a process that counted only a part of it."""

from __future__ import annotations

import json
import textwrap
import time
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.support.awkward import LABELS, VALUES
from tests.support.harness import run_python

PRELUDE = """
import django, math, sys
django.setup()
from prometheus_client import Counter, Enum, Gauge, Histogram, Info, Summary
from metrics.scraping.options import Options
from metrics.scraping.scraper import SCRAPER
from metrics import shared
from metrics.exposition import OPENMETRICS_1_0_0
jobs = Counter("t_jobs", "Jobs", ["kind"])
size = Histogram("t_size", "Sizes", buckets=(1, 2))
wait = Summary("t_wait", "Waits")
asked = Gauge("t_asked", "Asked", multiprocess_mode="sum")
state = Enum("t_state", "State", states=["on", "off"])
about = Info("t_about", "About")
"""


def run(tmp_path: Path, code: str) -> str:
    """Run code in a process of its own that shares the store; return what it prints."""
    done = run_python(tmp_path, PRELUDE + textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
    return done.stdout


def families(text: str) -> dict[str, Metric]:
    """Parse OpenMetrics strictly."""
    return {family.name: family for family in parse_openmetrics(text)}


def test_what_another_process_counted(tmp_path: Path) -> None:
    """Values and exemplars of a process that has ended are there, NaN and all."""
    run(
        tmp_path,
        """
        jobs.labels("a").inc(2, {"trace_id": "abc"})
        size.observe(1.5, {"trace_id": "def"})
        wait.observe(math.nan)
        """,
    )
    text = run(
        tmp_path,
        """
        jobs.labels("a").inc()
        state.state("off")
        about.info({"v": "1"})
        print(SCRAPER.render(OPENMETRICS_1_0_0).text, end="")
        """,
    )
    found = families(text)
    [total] = found["t_jobs"].samples
    assert (total.value, total.exemplar.labels) == (3.0, {"trace_id": "abc"})
    bucket = next(s for s in found["t_size"].samples if s.labels == {"le": "2.0"})
    assert (bucket.value, bucket.exemplar.value) == (1.0, 1.5)
    assert found["t_state"].type == "stateset"
    assert found["t_about"].type == "info"
    # A NaN has no place in a summary of OpenMetrics, whose parsers would refuse the scrape.
    assert found["t_wait_sum"].type == "unknown"
    assert "t_wait" not in found


def test_awkward_labels_and_values(tmp_path: Path) -> None:
    """Every label and value that one process gave the store, another shows in each format."""
    awkward = {"labels": LABELS, "values": list(map(repr, VALUES))}
    (tmp_path / "awkward.json").write_text(json.dumps(awkward))
    both = f"""
        import json, pathlib
        awkward = json.loads(pathlib.Path({str(tmp_path / "awkward.json")!r}).read_text())
        odd = Counter("t_odd", "Odd", ["i", "v"])
        number = Gauge("t_number", "Number", ["i"], multiprocess_mode="mostrecent")
    """
    run(
        tmp_path,
        f"""{both}
        for i, label in enumerate(awkward["labels"]): odd.labels(str(i), label).inc(i)
        odd.labels("lone", "\\ud800").inc()
        for i, value in enumerate(awkward["values"]): number.labels(str(i)).set(float(value))
        """,
    )
    out = run(
        tmp_path,
        f"""{both}
        from metrics.exposition import TEXT_0_0_4, TEXT_1_0_0
        formats = TEXT_0_0_4, TEXT_1_0_0, OPENMETRICS_1_0_0
        names = ["t_odd", "t_number"]
        print(json.dumps([SCRAPER.render(fmt, Options(frozenset(names))).text for fmt in formats]))
        """,
    )
    for text, parse in zip(
        json.loads(out), (parse_text, parse_text, parse_openmetrics), strict=True
    ):
        found = {family.name: family.samples for family in parse(text)}
        labels = {s.labels["i"]: (s.labels.get("v", ""), s.value) for s in found["t_odd"]}
        assert labels.pop("lone") == ("\N{REPLACEMENT CHARACTER}", 1.0)
        assert labels == {str(i): (label, float(i)) for i, label in enumerate(LABELS)}
        values = {s.labels["i"]: repr(s.value) for s in found["t_number"]}
        assert values == {str(i): repr(value) for i, value in enumerate(VALUES)}


def test_units(tmp_path: Path) -> None:
    """OpenMetrics shows the units of families in the store; the layout stays the same object."""
    out = run(
        tmp_path,
        """
        from metrics.scraping.gatherer import GATHERER
        from metrics.registry import METRICS
        METRICS.record_request("echo", "success", 0.1)
        sent = Counter("t_sent", "Sent", unit="bytes")
        sent.inc(3)
        one, two = (GATHERER.gather(30.0).snapshot.layout for _ in range(2))
        assert one is two
        print(SCRAPER.render(OPENMETRICS_1_0_0).text, end="")
        """,
    )
    found = families(out)
    assert (found["t_sent_bytes"].unit, found["t_sent_bytes"].samples[0].value) == ("bytes", 3.0)
    assert found["sentinel_request_duration_seconds"].unit == "seconds"
    assert found["t_wait"].unit == ""


@pytest.mark.parametrize(
    ("names", "ours"),
    [
        (("kind", "pid", "le", "quantile"), "worker"),
        (("worker",), "sentinel_worker"),
        (("worker", "sentinel.worker"), "sentinel_sentinel_worker"),
    ],
)
def test_our_label_displaces_none(tmp_path: Path, names: tuple[str, ...], ours: str) -> None:
    """A gauge keeps its own labels whatever they are called; ours has a name that is free."""
    values = [dict.fromkeys(names, value) for value in ("0", "-", "a")]
    out = run(
        tmp_path,
        f"""
        own = Gauge("t_own", "Own", {names!r})
        for labels in {values!r}: own.labels(**labels).set(1)
        print(SCRAPER.render(OPENMETRICS_1_0_0, Options(frozenset(["t_own"]))).text, end="")
        import json
        [family] = [one.family for one in SCRAPER.read().families if one.family.name == "t_own"]
        print(json.dumps([dict(key.labels) for key in family.samples]))
        """,
    )
    text, _, as_json = out.rstrip().rpartition("\n")
    expected = [{**labels, ours: "0"} for labels in values]
    assert json.loads(as_json) == expected
    escaped = [{name.replace(".", "_"): value for name, value in one.items()} for one in expected]
    assert [sample.labels for sample in families(text + "\n")["t_own"].samples] == escaped


def test_our_families_displace_none(tmp_path: Path) -> None:
    """A family that a user's collector gives under a name of ours keeps its type and samples."""
    text = run(
        tmp_path,
        """
        from prometheus_client import CollectorRegistry, ProcessCollector
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
        from metrics.registry import REGISTRY
        class Children:
            def describe(self): return []
            def collect(self):
                memory = GaugeMetricFamily("process_resident_memory_bytes", "", labels=["worker"])
                memory.add_metric(["mine"], 1)
                yield memory
                yield CounterMetricFamily("process_threads", "", 2)
                yield GaugeMetricFamily("sentinel_build_info", "", labels=["version"])
        REGISTRY.register(Children())
        REGISTRY.register(ProcessCollector(namespace="t_db", registry=None))
        jobs.labels("a").inc()
        print(SCRAPER.render().text, end="")
        print("=====")
        print(SCRAPER.render(OPENMETRICS_1_0_0).text, end="")
        """,
    )
    text, _, openmetrics = text.partition("=====\n")
    assert [sample.value for sample in families(openmetrics)["process_threads"].samples] == [2.0]
    lines = text.splitlines()
    assert 'process_resident_memory_bytes{worker="mine"} 1.0' in lines
    assert any(line.startswith('process_resident_memory_bytes{kind="') for line in lines)
    assert "# TYPE process_threads_total counter" in lines
    assert "process_threads_total 2.0" in lines
    assert any(line.startswith("t_db_process_cpu_seconds_total ") for line in lines)


def test_gauges_of_a_command_that_has_ended(tmp_path: Path) -> None:
    """What a command set is scraped after its end only if the gauge's mode says that it stays."""
    gauges = """
        gauges = {
            mode: Gauge(f"t_{mode}", "Mode", ["of"], multiprocess_mode=mode)
            for mode in ("all", "liveall", "livemax", "livemostrecent", "max", "mostrecent")
        }
        default = Gauge("t_default", "No mode")
    """
    run(
        tmp_path,
        f"{gauges}\n        default.set(1)\n        jobs.labels('a').inc()\n"
        "        for gauge in gauges.values(): gauge.labels('command').set(5)",
    )
    text = run(tmp_path, f"{gauges}\n        print(SCRAPER.render().text)")
    assert [line for line in text.splitlines() if line.startswith("t_") and "{of=" in line] == [
        't_max{of="command"} 5.0',
        't_mostrecent{of="command"} 5.0',
    ]
    assert "\nt_default" not in text


def test_a_gauge_that_asks_a_function(tmp_path: Path) -> None:
    """What the function gives in the answering process stands in place of stored values."""
    run(tmp_path, "asked.set(5)")
    text = run(tmp_path, "asked.set_function(lambda: 7)\nprint(SCRAPER.render().text)")
    assert text.count("\nt_asked ") == 1
    assert "\nt_asked 7.0\n" in text


@pytest.mark.parametrize("broken", ["store.Store", "reader.Reader"])
def test_a_store_that_cannot_be_read(tmp_path: Path, broken: str) -> None:
    """The rest of the scrape is served, and this process's part is not taken for the whole."""
    text = run(
        tmp_path,
        f"""
        jobs.labels("a").inc()
        def snapshot(*args):
            raise OSError("no such luck")
        from metrics.shared.reading import reader
        from metrics.shared import store
        {broken}.snapshot = snapshot
        rendered = SCRAPER.render()
        print(rendered.text, rendered.left_out)
        """,
    )
    assert "t_jobs" not in text
    assert "sentinel_build_info{" in text
    assert "\nsentinel_scrape_left_out 1.0\n" in text
    assert "('the shared store: see the log',)" in text


def test_text_is_prepared_once(tmp_path: Path) -> None:
    """While the families stay the same, each format's text is prepared once."""
    out = run(
        tmp_path,
        """
        from metrics.exposition import Escaping, Format, TEXT_0_0_4, TEXT_1_0_0
        from metrics.scraping import templates
        made = []
        own = templates.template
        templates.template = lambda *args, **options: made.append(1) or own(*args, **options)
        formats = [TEXT_0_0_4, TEXT_1_0_0] + [
            Format("application/openmetrics-text", "1.0.0", scheme) for scheme in Escaping
        ]
        jobs.labels("a").inc()
        for fmt in formats:
            SCRAPER.render(fmt)
        first = len(made)
        for number in range(20):  # others' filters, however many, drive nothing out
            SCRAPER.render(options=Options(frozenset({f"t_{number}"})))
        filtered = len(made)
        jobs.labels("a").inc()
        for fmt in formats:
            text = SCRAPER.render(fmt).text
        print('t_jobs_total{kind="a"} 2.0' in text)
        print(first == 3 * len(formats), len(made) == filtered)
        jobs.labels("b").inc()
        for fmt in formats:
            SCRAPER.render(fmt)
        print(len(made) - filtered == len(formats), len(SCRAPER._templates._whole) == first)
        """,
    )
    assert out == "True\nTrue True\nTrue True\n"


def test_created_samples(tmp_path: Path) -> None:
    """``created`` tells when the first process made each series, in each format's own way."""
    begun = time.time()
    run(
        tmp_path,
        """
        jobs.labels("a").inc(2, {"trace_id": "abc"})
        size.observe(1.5, {"trace_id": "def"})
        wait.observe(3)
        asked.set(1)
        """,
    )
    ended = time.time()
    out = run(
        tmp_path,
        """
        import json
        from metrics.exposition import TEXT_0_0_4
        jobs.labels("a").inc()
        jobs.labels('b "c"').inc()
        print(json.dumps([
            SCRAPER.render(fmt, Options(names and frozenset(names), created=True)).text
            for fmt in (OPENMETRICS_1_0_0, TEXT_0_0_4)
            for names in (None, ["t_jobs"], ["t_jobs_created", "t_size_created"])
        ]))
        """,
    )
    openmetrics, of_family, of_samples, text, text_of_family, text_of_samples = json.loads(out)
    found = families(openmetrics)
    made = {s.labels["kind"]: s.value for s in found["t_jobs"].samples if s.name[-8:] == "_created"}
    assert begun - 0.001 <= made["a"] <= ended <= made['b "c"'] <= time.time() + 0.001
    totals = {s.labels["kind"]: s for s in found["t_jobs"].samples if s.name == "t_jobs_total"}
    assert (totals["a"].value, totals["a"].exemplar.labels) == (3.0, {"trace_id": "abc"})
    assert (totals['b "c"'].value, totals['b "c"'].exemplar) == (1.0, None)
    assert [(s.name, s.labels.get("le")) for s in found["t_size"].samples] == [
        ("t_size_bucket", "1.0"),
        ("t_size_bucket", "2.0"),
        ("t_size_bucket", "+Inf"),
        ("t_size_count", None),
        ("t_size_sum", None),
        ("t_size_created", None),
    ]
    assert found["t_size"].samples[1].exemplar.labels == {"trace_id": "def"}
    assert [s.name for s in found["t_wait"].samples] == [
        "t_wait_count",
        "t_wait_sum",
        "t_wait_created",
    ]
    assert [s.name for s in found["t_asked"].samples] == ["t_asked"]
    assert families(of_family)["t_jobs"].samples == found["t_jobs"].samples
    assert {s.name for f in parse_openmetrics(of_samples) for s in f.samples} == {
        "t_jobs_created",
        "t_size_created",
    }
    plain = {family.name: family for family in parse_text(text)}
    assert plain["t_jobs_created"].type == plain["t_wait_created"].type == "gauge"
    assert {s.labels["kind"]: s.value for s in plain["t_jobs_created"].samples} == made
    assert [f.name for f in parse_text(text_of_family)] == ["t_jobs", "t_jobs_created"]
    assert [f.name for f in parse_text(text_of_samples)] == ["t_jobs_created", "t_size_created"]


def test_created_after_a_removal(tmp_path: Path) -> None:
    """A series that was removed and came back was made when it came back."""
    out = run(
        tmp_path,
        """
        def made():
            text = SCRAPER.render(options=Options(frozenset(["t_jobs_created"]), created=True)).text
            return {line.split('"')[1]: float(line.split()[1])
                    for line in text.splitlines() if line[0] != "#"}
        import time
        jobs.labels("a").inc(); jobs.labels("b").inc()
        before = made()
        jobs.remove("a")
        print(sorted(made()) == ["b"])
        moment = time.time()
        jobs.labels("a").inc()
        after = made()
        print(after["b"] == before["b"], before["a"] < moment < after["a"] + 0.001)
        """,
    )
    assert out == "True\nTrue True\n"


def test_created_times_that_cannot_be_read(tmp_path: Path) -> None:
    """Without them the scrape is served, and says that something is missing."""
    out = run(
        tmp_path,
        """
        from metrics.shared.reading import created_times
        jobs.labels("a").inc()
        def read(directory): raise PermissionError("not yours")
        created_times.read = read
        rendered = SCRAPER.render(options=Options(created=True))
        print('t_jobs_total{kind="a"} 1.0' in rendered.text, rendered.left_out)
        """,
    )
    assert out == "True ('the times at which series were made: not yours',)\n"
