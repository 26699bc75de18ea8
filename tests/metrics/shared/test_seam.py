"""The store under a whole Django process: what was made too early, what is not shared."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from tests.support.harness import run_python


def run(tmp_path: Path, code: str) -> Any:
    """Run a program of the project to its end; return the JSON that it prints last."""
    done = run_python(tmp_path, textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


EARLY = """
        import django, json, sys
        from prometheus_client import REGISTRY, Counter, Enum, Gauge, Histogram, Info, Summary
        counter = Counter("t_counter", "Early")
        gauge = Gauge("t_gauge", "Early", multiprocess_mode="sum")
        histogram = Histogram("t_histogram", "Early", ["l"], buckets=(1, 2))
        summary = Summary("t_summary", "Early")
        labelled = Counter("t_labelled", "Early", ["l"])
        Info("t_info", "Not shared"), Enum("t_enum", "Not shared", states=["a", "b"])
        def count():
            counter.inc(2)
            gauge.inc(3)
            histogram.labels("a").observe(1.5)
            summary.observe(4)
            labelled.labels("a").inc(5)
        def told(prefix="t_"):
            from metrics.scraping.scraper import SCRAPER
            lines = SCRAPER.render().text.splitlines()
            return sorted(line for line in lines if line.startswith(prefix))
        count()
        django.setup()
        """


def test_metrics_made_before_the_store_are_moved_into_it(tmp_path: Path) -> None:
    """Of each type, with what they had counted, and so that other processes see it."""
    code = """
        from django.core import checks
        early = labelled.labels("a")
        count()
        early.inc()
        later = labelled.labels("b").inc()
        names = ("t_counter", "t_gauge", "t_histogram", "t_labelled", "t_summary")
        found = [line for line in told() if line.startswith(names)]
        print(json.dumps([found, [m.id for m in checks.run_checks()]]))
    """
    for times in (1, 2):  # the second process counts on
        found, messages = run(tmp_path, textwrap.dedent(EARLY) + textwrap.dedent(code))
        assert found == [
            f"t_counter_total {4.0 * times}",
            f"t_gauge {6.0 * times}",
            f't_histogram_bucket{{l="a",le="+Inf"}} {2.0 * times}',
            't_histogram_bucket{l="a",le="1.0"} 0.0',
            f't_histogram_bucket{{l="a",le="2.0"}} {2.0 * times}',
            f't_histogram_count{{l="a"}} {2.0 * times}',
            f't_histogram_sum{{l="a"}} {3.0 * times}',
            f't_labelled_total{{l="a"}} {11.0 * times}',
            f't_labelled_total{{l="b"}} {1.0 * times}',
            f"t_summary_count {2.0 * times}",
            f"t_summary_sum {8.0 * times}",
        ]
        assert messages == []


def test_the_gateways_families_may_come_before_the_store(tmp_path: Path) -> None:
    """METRICS records into the store from then on, though it was used before."""
    code = """
        import django, json
        from metrics.registry import METRICS
        METRICS.record_request("a", "success", 0.5)
        django.setup()
        METRICS.record_request("a", "success", 0.5)
        from metrics import shared
        snapshot = shared.current().snapshot()
        keys = [key for family in snapshot.layout.families for key in family.samples]
        print(json.dumps([value for key, value in zip(keys, snapshot.values)
                          if key.name == "sentinel_requests_total"]))
    """
    assert run(tmp_path, code) == [2.0]


def test_a_metric_that_cannot_be_moved_is_named(tmp_path: Path) -> None:
    """It goes on counting for its process; the log and the system check say so."""
    code = """
        import django, json
        from django.core import checks
        from prometheus_client import Counter
        class Odd(Counter):
            def _metric_init(self):
                if hasattr(self, "_value"):
                    raise RuntimeError("not twice")
                super()._metric_init()
        odd = Odd("t_odd", "Odd")
        odd.inc()
        django.setup()
        odd.inc()
        found = [m.msg for m in checks.run_checks() if m.id == "sentinel_metrics.W001"]
        print(json.dumps([odd._value.get(), found]))
    """
    value, (message,) = run(tmp_path, code)
    assert value == 2.0
    assert message == (
        "Made before the shared store was installed, and not to be moved there: t_odd. Each"
        " process counts these for itself, and a scrape shows those of one process."
    )


def test_prometheus_clients_own_mode_is_named_and_writes_no_files(tmp_path: Path) -> None:
    """With PROMETHEUS_MULTIPROC_DIR set, the store works, and private metrics stay in memory."""
    code = """
        import json, logging, os, tempfile
        from pathlib import Path
        class Log(logging.Handler):
            def emit(self, record):
                log.append(record.getMessage())
        log = []
        logging.getLogger("metrics.shared").addHandler(Log())
        place = Path(tempfile.mkdtemp())
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(place)
        import django
        from prometheus_client import CollectorRegistry, Counter
        early = Counter("t_early", "Early")
        early.inc(3)
        unused = Counter("t_unused", "Early, but without a count", ["l"]).labels("a")
        django.setup()
        files = sorted(place.iterdir())
        early.inc(2)
        own = Counter("t_own", "Own", registry=CollectorRegistry())
        own.inc()
        from django.core import checks
        found = [m.id for m in checks.run_checks()]
        print(json.dumps([early._value.get(), own._value.get(), found,
                          sorted(place.iterdir()) == files, log]))
    """
    message = (
        "The metric t_early was made before the shared store, in prometheus_client's multi-process"
        " mode: what it counted until then stays in a file of PROMETHEUS_MULTIPROC_DIR, and is in"
        " no scrape."
    )
    assert run(tmp_path, code) == [2.0, 1.0, ["sentinel_metrics.W006"], True, [message]]


def test_a_histogram_can_be_observed_while_it_is_moved(tmp_path: Path) -> None:
    """At no moment of its move does an observation fail or get lost."""
    code = """
        import json, shutil, tempfile
        from prometheus_client import Histogram
        from metrics import shared
        class Store(shared.Store):
            def adopt(self, *args):
                early.observe(5)
                super().adopt(*args)
                early.observe(0.5)
        early = Histogram("t_early", "Early", buckets=(1, 2))
        early.observe(1.5)
        place = tempfile.mkdtemp()
        shared.install(Store(place))
        early.observe(5)
        print(json.dumps([early._sum.get(), *(bucket.get() for bucket in early._buckets)]))
        shutil.rmtree(place)
    """
    assert run(tmp_path, code) == [12.0, 1.0, 1.0, 2.0]


def test_a_warning_of_prometheus_client_about_its_own_mode_is_heard(tmp_path: Path) -> None:
    """Its metrics do not forget label sets in its multi-process mode; ours do."""
    code = """
        import json, os, tempfile, warnings
        import django
        django.setup()
        from prometheus_client import Counter, values
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()
        heard = []
        for kind in (values.ValueClass, values.get_value_class()):
            values.ValueClass = kind
            counter = Counter("t_c", "help", ["l"], registry=None)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                counter.labels("a").inc()
                counter.remove("a")
                counter.clear()
            heard.append(len(caught))
        print(json.dumps(heard))
    """
    assert run(tmp_path, code) == [0, 2]


OWN = """
        import django, json
        django.setup()
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
        from prometheus_client import REGISTRY, generate_latest
        from metrics.scraping.scraper import SCRAPER
        def told(prefix="t_"):
            lines = SCRAPER.render().text.splitlines()
            return sorted(line for line in lines if line.startswith(prefix))
        def of(registry, prefix="t_"):
            lines = generate_latest(registry).decode().splitlines()
            lines = [line for line in lines if "_created" not in line]
            return sorted(line for line in lines if line.startswith(prefix))
        """


def test_a_registry_of_ones_own_stays_with_its_process(tmp_path: Path) -> None:
    """Each begins at 0, in each process, for each type, and none shows in /metrics."""
    code = """
        found = []
        for amount in (5, 7):
            r = CollectorRegistry()
            Counter("t_rows", "", registry=r).inc(amount)
            Counter("t_labelled", "", ["l"], registry=r).labels("a").inc(amount)
            Gauge("t_gauge", "", ["l"], registry=r).labels("a").set(amount)
            h = Histogram("t_histogram", "", ["l"], registry=r, buckets=(1,))
            h.labels("a").observe(amount)
            Summary("t_summary", "", registry=r).observe(amount)
            found.append(of(r))
        print(json.dumps([found, told()]))
    """
    for _ in range(2):
        found, shown = run(tmp_path, textwrap.dedent(OWN) + textwrap.dedent(code))
        assert found == [
            [
                f't_gauge{{l="a"}} {amount}.0',
                't_histogram_bucket{l="a",le="+Inf"} 1.0',
                't_histogram_bucket{l="a",le="1.0"} 0.0',
                't_histogram_count{l="a"} 1.0',
                f't_histogram_sum{{l="a"}} {amount}.0',
                f't_labelled_total{{l="a"}} {amount}.0',
                f"t_rows_total {amount}.0",
                "t_summary_count 1.0",
                f"t_summary_sum {amount}.0",
            ]
            for amount in (5, 7)
        ]
        assert shown == []


def test_a_metric_counts_for_the_service_once_its_registry_does(tmp_path: Path) -> None:
    """Registered later, or in a registry that is shared later, it brings along what it has."""
    code = """
        from metrics.registry import share
        loose = Counter("t_loose", "", ["l"], registry=None)
        loose.labels("a").inc(2)
        own = CollectorRegistry()
        mine = Counter("t_mine", "", registry=own)
        mine.inc(3)
        before = told()
        REGISTRY.register(loose)
        assert share(own) is own and share(own) is own
        loose.labels("a").inc(); loose.labels("b").inc(); mine.inc()
        Counter("t_new", "", registry=own).inc()
        print(json.dumps([before, told()]))
    """
    earlier: list[str] = []
    for times in (1.0, 2.0):
        before, after = run(tmp_path, textwrap.dedent(OWN) + textwrap.dedent(code))
        assert before == earlier
        assert after == [
            f't_loose_total{{l="a"}} {3 * times}',
            f't_loose_total{{l="b"}} {times}',
            f"t_mine_total {4 * times}",
            f"t_new_total {times}",
        ]
        earlier = after


def test_a_metric_that_is_made_again_begins_again_in_its_process(tmp_path: Path) -> None:
    """So does one in a process that counts on where another left; totals never fall for it."""
    code = """
        seen = []
        for amount in (5, 7):
            c = Counter("t_c", "", ["l"])
            h = Histogram("t_h", "", buckets=(1,))
            s = Summary("t_s", "")
            seen.append([of(REGISTRY), REGISTRY.get_sample_value("t_s_count")])
            c.labels("a").inc(amount); h.observe(0.5); s.observe(amount)
            seen.append(of(REGISTRY))
            for one in (c, h, s):
                REGISTRY.unregister(one)
        print(json.dumps([seen, told()]))
    """

    def lines(amount: int) -> list[str]:
        number = float(bool(amount))
        zero = [
            f't_h_bucket{{le="+Inf"}} {number}',
            f't_h_bucket{{le="1.0"}} {number}',
            f"t_h_count {number}",
            f"t_h_sum {number / 2}",
            f"t_s_count {number}",
            f"t_s_sum {float(amount)}",
        ]
        return [*([f't_c_total{{l="a"}} {float(amount)}'] if amount else []), *zero]

    for times in (1, 2):
        seen, total = run(tmp_path, textwrap.dedent(OWN) + textwrap.dedent(code))
        assert seen == [[lines(0), 0.0], lines(5), [lines(0), 0.0], lines(7)]
        assert f't_c_total{{l="a"}} {12.0 * times}' in total
        assert f"t_h_count {2.0 * times}" in total


def test_what_all_processes_counted_can_be_read_as_a_registry(tmp_path: Path) -> None:
    """ALL_PROCESSES gives prometheus_client's functions what /metrics shows."""
    code = """
        from metrics.registry import ALL_PROCESSES
        Counter("t_c", "Counted", ["l"]).labels("a").inc(2)
        Gauge("t_g", "", multiprocess_mode="sum").set(3)
        Histogram("t_h", "", buckets=(1,)).observe(0.5)
        print(json.dumps([of(ALL_PROCESSES) == told(), of(ALL_PROCESSES)[:2]]))
    """
    for times in (1, 2):
        same, found = run(tmp_path, textwrap.dedent(OWN) + textwrap.dedent(code))
        assert same is True
        assert found == [f't_c_total{{l="a"}} {2.0 * times}', f"t_g {3.0 * times}"]


def test_the_checks_touch_nothing_lazy(tmp_path: Path) -> None:
    """A lazy object of the project that cannot be built yet is left alone by check and start."""
    code = """
        import django, json
        from django.utils.functional import SimpleLazyObject
        touched = []
        def build():
            touched.append(1)
            raise RuntimeError("not yet")
        lazy = SimpleLazyObject(build)
        from prometheus_client import REGISTRY
        class Wrapped:
            def __init__(self): self.inner = lazy
            def collect(self): return []
        REGISTRY.register(Wrapped())
        django.setup()
        from django.core import checks
        print(json.dumps([[m.id for m in checks.run_checks()], touched]))
    """
    assert run(tmp_path, code) == [[], []]


def test_what_has_no_shared_values_is_the_answering_process_own(tmp_path: Path) -> None:
    """Info, Enum and custom collectors come once, from whoever answers, beside all counts."""
    code = """
    import django, json, sys
    django.setup()
    from prometheus_client import REGISTRY, Counter, Enum, Info
    from prometheus_client.core import GaugeMetricFamily
    from metrics.scraping.scraper import SCRAPER
    class Custom:
        def collect(self):
            yield GaugeMetricFamily("t_custom", "Custom", value=NUMBER)
    REGISTRY.register(Custom())
    Counter("t_jobs", "Jobs").inc(NUMBER)
    Info("t_about", "About").info({"process": "NUMBER"})
    Enum("t_state", "State", states=["one", "two"]).state(["one", "two"][NUMBER - 1])
    lines = SCRAPER.render().text.splitlines()
    print(json.dumps([line for line in lines if line.startswith("t_")]))
    """
    for number, jobs in ((1, 1.0), (2, 3.0)):  # the second answers when the first is gone
        assert sorted(run(tmp_path, code.replace("NUMBER", str(number)))) == [
            f't_about_info{{process="{number}"}} 1.0',
            f"t_custom {number}.0",
            f"t_jobs_total {jobs}",
            f't_state{{t_state="one"}} {2.0 - number}',
            f't_state{{t_state="two"}} {number - 1.0}',
        ]
