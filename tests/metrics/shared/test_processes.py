"""The store over plain processes, with the cases of prometheus_client's own tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Histogram
from prometheus_client import metrics as client_metrics

from tests.support.store_peers import ROOT, Peer, peers, run

BUCKETS = [*map(str, Histogram.DEFAULT_BUCKETS[:-1]), "+Inf"]
CHILDREN = Path(__file__).parent / "programs" / "children.py"
ZERO, ONE = '{worker="0"}', '{worker="1"}'


def test_counters_add_up_over_processes(store_dir: Path) -> None:
    """A counter's total is the sum over all processes, and 0 before the first count."""
    with peers(store_dir, 2, "c = counter()") as (one, two):
        assert one.scrape() == {"c_total": 0.0}
        one.run("c.inc(1)")
        two.run("c.inc(2)")
        assert one.scrape() == two.scrape() == {"c_total": 3.0}
        assert one.get("c._value.get()") == 1.0


def test_summaries_add_up_over_processes(store_dir: Path) -> None:
    """A summary's count and sum are the sums over all processes."""
    with peers(store_dir, 2, "s = Summary('s', 'help', registry=SHARED)") as (one, two):
        assert one.scrape() == {"s_count": 0.0, "s_sum": 0.0}
        one.run("s.observe(1)")
        two.run("s.observe(2)")
        assert one.scrape() == two.scrape() == {"s_count": 2.0, "s_sum": 3.0}


def test_histograms_add_up_and_keep_their_order(store_dir: Path) -> None:
    """A histogram's buckets are cumulative, in order of le, label set by label set."""
    make = "h = Histogram('h', 'help', ['view'], registry=SHARED)"
    with peers(store_dir, 2, make) as (one, two):
        one.run("h.labels('view1').observe(1)")
        two.run("h.labels('view1').observe(5); h.labels(view='view2').observe(1)")

        def expected(view: str, total: float, at_5: float, at_1: float, sums: float) -> Any:
            counts = [0.0] * 9 + [at_1, at_1] + [at_5] * 4
            lines = [
                (f'h_bucket{{view="{view}",le="{le}"}}', count)
                for le, count in zip(BUCKETS, counts, strict=True)
            ]
            return [
                *lines,
                (f'h_count{{view="{view}"}}', total),
                (f'h_sum{{view="{view}"}}', sums),
            ]

        wanted = expected("view1", 2.0, 2.0, 1.0, 6.0) + expected("view2", 1.0, 1.0, 1.0, 1.0)
        assert list(one.scrape().items()) == wanted
        assert list(two.scrape().items()) == wanted


ALIVE_AND_DEAD = [
    # mode, set by the first, by the second, shown while both live, after the second died
    ("all", 1, 2, {ZERO: 1.0, ONE: 2.0}, {ZERO: 1.0}),
    ("liveall", 1, 2, {ZERO: 1.0, ONE: 2.0}, {ZERO: 1.0}),
    ("min", 2, 1, {"": 1.0}, {"": 1.0}),
    ("livemin", 2, 1, {"": 1.0}, {"": 2.0}),
    ("max", 1, 2, {"": 2.0}, {"": 2.0}),
    ("livemax", 1, 2, {"": 2.0}, {"": 1.0}),
    ("sum", 1, 2, {"": 3.0}, {"": 3.0}),
    ("livesum", 1, 2, {"": 3.0}, {"": 1.0}),
    ("mostrecent", 1, 2, {"": 2.0}, {"": 2.0}),
    ("livemostrecent", 1, 2, {"": 2.0}, {"": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "first", "second", "both", "survivor"), ALIVE_AND_DEAD)
def test_gauge_modes(
    store_dir: Path,
    mode: str,
    first: float,
    second: float,
    both: dict[str, float],
    survivor: dict[str, float],
) -> None:
    """Each gauge mode merges the living and the dead as docs/shared-store.md says it does.

    What a dead process left stays so when another takes its lane over.
    """
    with Peer(store_dir, f"g = gauge({mode!r})") as one:
        one.run(f"g.set({first})")
        with Peer(store_dir, f"g = gauge({mode!r})") as two:
            two.run(f"g.set({second})")
            assert one.scrape() == two.scrape() == {f"g{at}": v for at, v in both.items()}
        assert one.scrape() == {f"g{at}": value for at, value in survivor.items()}
        with Peer(store_dir, "c = counter()") as heir:
            heir.run("c.inc()")
            assert [worker["number"] for worker in _workers(heir)] == [0, 1]
            after = {f"g{at}": value for at, value in survivor.items()}
            assert heir.scrape() == one.scrape() == {"c_total": 1.0} | after


def _workers(peer: Peer) -> list[dict[str, Any]]:
    code = "[{'number': w.number, 'pid': w.pid, 'alive': w.alive} for w in store.workers()]"
    found: list[dict[str, Any]] = peer.get(code)
    return found


def test_gauge_of_the_dead_of_a_lane_merge(store_dir: Path) -> None:
    """Three processes that had one lane after the other count for a gauge as three would."""
    for amount in (5, 3, 4):
        run(
            store_dir,
            f"for mode in ('min', 'max', 'sum', 'mostrecent', 'livesum'):\n"
            f"    gauge(mode, 'g_' + mode).set({amount})",
        )
    assert len(list(store_dir.glob("lane-*"))) == 1
    with Peer(store_dir) as last:
        assert last.scrape() == {
            "g_max": 5.0,
            "g_min": 3.0,
            "g_mostrecent": 4.0,
            "g_sum": 12.0,
        }


def test_gauge_inc_dec_and_infinities(store_dir: Path) -> None:
    """Gauges go up and down, below zero, and to infinities of both signs in one sum."""
    with peers(store_dir, 2, "g = gauge('sum'); h = gauge('livesum', 'h')") as (one, two):
        one.run("g.inc(5); g.dec(7); h.set(float('inf'))")
        two.run("g.inc(1); h.set(float('-inf'))")
        found = one.scrape()
        assert found["g"] == -1.0
        assert found["h"] != found["h"]  # not a number, and no exception
        one.run("import contextlib\nwith g.track_inprogress():\n    inside = scrape()['g']")
        assert one.get("inside") == 0.0
        assert two.scrape()["g"] == -1.0


@pytest.mark.skipif(
    not hasattr(client_metrics.MetricWrapperBase, "remove_by_labels"),
    reason="prometheus_client before 0.24 builds the names of such children twice by itself",
)
def test_names_are_built_once(store_dir: Path) -> None:
    """Namespace, subsystem and unit are in the name once, in subclasses too."""
    with Peer(store_dir) as one:
        one.run("from tests.metrics.shared.programs import clients")
        one.run("clients.name_by_parts(process)")
        assert one.scrape() == {"ns_ss_c_total": 1.0, 'ns_ss_m_seconds_total{status="200"}': 1.0}


def test_help_is_kept(store_dir: Path) -> None:
    """A family's help text is that of its definition, for each type."""
    with peers(store_dir, 2) as (one, two):
        for peer in (one, two):
            peer.run("Counter('c', 'c help', registry=SHARED).inc()")
            peer.run("Gauge('g', 'g help', registry=SHARED).set(1)")
            peer.run("Histogram('h', 'h help', registry=SHARED).observe(1)")
        helps = one.get("{f.name: f.help for f in store.snapshot().layout.families}")
        assert {name: helps[name] for name in "cgh"} == {n: f"{n} help" for n in "cgh"}


def test_restricting_and_other_collectors(store_dir: Path) -> None:
    """Info, Enum and a registry's own restricted collection work in the process itself."""
    with Peer(store_dir) as one:
        one.run("from tests.metrics.shared.programs import clients")
        one.run("registry, kept = clients.collect_restricted(process)")
        assert one.get("kept") == ["c"]
        assert one.get("registry.get_sample_value('c_total')") == 2.0
        assert one.get("registry.get_sample_value('i_info', {'version': '1'})") == 1.0
        assert one.get("registry.get_sample_value('e', {'e': 'off'})") == 1.0
        assert one.scrape() == {"c_total": 2.0}


def test_remove_takes_a_series_from_every_process(store_dir: Path) -> None:
    """remove() hides a series everywhere; counting on in any process starts it from zero."""
    with peers(store_dir, 2, "c = counter('c', ['l'])") as (one, two):
        one.run("c.labels('a').inc(3); c.labels('b').inc(5)")
        two.run("c.labels('a').inc(4)")
        one.run("c.remove('a')")
        left = {'c_total{l="b"}': 5.0}
        assert one.scrape() == two.scrape() == left
        assert run(store_dir, "print(json.dumps(scrape()))") == left
        two.run("c.labels('a').inc(2)")
        assert one.scrape() == two.scrape() == {'c_total{l="a"}': 2.0, 'c_total{l="b"}': 5.0}
        one.run("c.labels('a')")
        assert one.scrape()['c_total{l="a"}'] == 2.0
        two.run("c.remove('a'); c.labels('a')")
        assert one.scrape()['c_total{l="a"}'] == 0.0


@pytest.mark.parametrize("made", ["counter('m', ['l'])", "gauge('sum', 'm', ['l'])"])
def test_a_removal_counts_though_there_was_one(store_dir: Path, made: str) -> None:
    """What a process wrote after another's removal goes with its own; the index does not grow."""
    index = store_dir / "index"
    with peers(store_dir, 2, f"m = {made}") as (one, two):
        for peer in (one, two):
            peer.run("child = m.labels('a'); child.inc()")
        one.run("m.remove('a')")
        assert one.scrape() == {}
        two.run("child.inc(); m.remove('a')")
        assert one.scrape() == two.scrape() == {}
        size = index.stat().st_size
        for peer in (one, two):
            peer.run("m.remove('a')")
        assert index.stat().st_size == size


def test_removals_at_once(store_dir: Path) -> None:
    """Whichever of many processes is the last to remove a series, it is gone."""
    count_and_remove = """
    for i in range(100):
        c.labels('a').inc()
        c.remove('a')
    """
    with peers(store_dir, 4, "c = counter('c', ['l'])") as started:
        for peer in started:
            peer.send("run", count_and_remove)
        for peer in started:
            peer.answer()
        assert started[0].scrape() == {}


def test_remove_by_labels_and_clear(store_dir: Path) -> None:
    """remove_by_labels() and clear() take series of other processes away as well."""
    with peers(store_dir, 2) as (one, two):
        for peer in (one, two):
            peer.run(
                """
                c = Counter("c", "help", ["a", "b"], registry=SHARED)
                h = Histogram("h", "help", ["a"], buckets=(1,), registry=SHARED)
                g = Gauge("g", "help", ["a"], multiprocess_mode="sum", registry=SHARED)
                """
            )
        one.run("c.labels('x', '1').inc(); c.labels('y', '1').inc(2)")
        two.run("c.labels('x', '2').inc(); h.labels('x').observe(3); g.labels('x').set(7)")
        if hasattr(client_metrics.MetricWrapperBase, "remove_by_labels"):
            one.run("c.remove_by_labels({'a': 'x'}); h.clear(); g.clear()")
        else:  # it came with prometheus_client 0.24
            one.run("c.remove('x', '1'); c.remove('x', '2'); h.clear(); g.clear()")
        assert one.scrape() == two.scrape() == {'c_total{a="y",b="1"}': 2.0}
        two.run("h.labels('x').observe(0.5); g.labels('x').set(1)")
        assert one.scrape() == {
            'c_total{a="y",b="1"}': 2.0,
            'g{a="x"}': 1.0,
            'h_bucket{a="x",le="1.0"}': 1.0,
            'h_bucket{a="x",le="+Inf"}': 1.0,
            'h_count{a="x"}': 1.0,
            'h_sum{a="x"}': 0.5,
        }


def test_awkward_label_values_stay_apart(store_dir: Path) -> None:
    """Label values of any characters, and equal text under other types, find their series."""
    values = ["", " ", '"', "\\", "\n", "\0", "\ud800", "\u2028", "é" * 5000, "0"]
    with peers(store_dir, 2, "c = counter('c', ['l'])") as (one, two):
        for peer in (one, two):
            peer.run(f"for value in {values!r}: c.labels(value).inc()")
            peer.run("c.labels(0).inc(); c.labels(l='0').inc()")
        found = two.scrape()
        for value in values:
            assert found[f'c_total{{l="{value}"}}'] == (6.0 if value == "0" else 2.0)
        assert len(found) == len(values)


def test_exemplars_of_several_processes(store_dir: Path) -> None:
    """The newest exemplar of a series shows, whichever process it comes from."""
    make = "c = counter(); h = Histogram('h', 'help', buckets=(1, 2), registry=SHARED)"
    code = """
    {n: [e.labels, e.value] for n, e in (
        (list(scrape())[at], e) for at, e in sorted(store.snapshot().exemplars.items()))}
    """.strip().replace("\n", " ")
    with peers(store_dir, 2, make) as (one, two):
        one.run("c.inc(2, exemplar={'trace': 'a'}); h.observe(1.5, exemplar={'trace': 'h'})")
        two.run("time.sleep(0.002); c.inc(exemplar={'trace': 'b'})")
        wanted = {"c_total": [{"trace": "b"}, 1.0], 'h_bucket{le="2.0"}': [{"trace": "h"}, 1.5]}
        assert one.get(code) == two.get(code) == wanted
        two.kill()
        assert one.get(code) == wanted
        with Peer(store_dir, make) as heir:
            heir.run("time.sleep(0.002); c.inc(exemplar={'trace': 'x' * 100}); c.inc()")
            assert heir.get(code)["c_total"] == [{"trace": "x" * 100}, 1.0]


@pytest.mark.parametrize("method", ["os.fork()", "fork", "spawn", "forkserver", "exec"])
def test_counts_of_children_arrive(store_dir: Path, method: str) -> None:
    """A child counts into the same series, however it was started."""
    done = subprocess.run(
        [sys.executable, str(CHILDREN), str(store_dir), method],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    # With spawn, exec and forkserver the program itself runs again up to its main part.
    again = {"os.fork()": 0, "fork": 0}.get(method, 3)
    assert found['c_total{l="a"}'] == 4.0 + again
    assert found['c_total{l="b"}'] == 3.0
    assert found['sentinel_requests_total{tool="t",status="error"}'] == 4.0
    assert found['sentinel_errors_total{tool="t",error_type="error"}'] == 4.0
    assert found['sentinel_request_duration_seconds_count{tool="t"}'] == 4.0
    assert found['sentinel_request_duration_seconds_sum{tool="t"}'] == 2.0
