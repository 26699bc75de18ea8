"""The limit of series of a family, over all processes."""

from __future__ import annotations

from pathlib import Path

from tests.metrics.shared.programs import series_limit
from tests.support.store_peers import call, peers


def test_limit_of_series_over_all_processes(store_dir: Path) -> None:
    """Beyond the limit new label sets fold into one, counted, and told once a family."""
    limit = """
    store = process.reinstall(max_series=lambda: 10)
    c = counter("c", ["l"]); h = Histogram("h", "help", ["a", "b"], buckets=(1,), registry=SHARED)
    plain = counter("plain")
    """
    with peers(store_dir, 3, limit) as trio:
        for number, peer in enumerate(trio):
            peer.run(f"for i in range(6): c.labels(f'{number} {{i}}').inc()")
            peer.run(f"for i in range(6): h.labels('{number}', str(i)).observe(0.5); plain.inc()")
        for peer in trio:
            found = peer.scrape()
            for name, line in (("c", "c_total{"), ("h", "h_count{")):
                lines = {k: v for k, v in found.items() if k.startswith(line)}
                assert len(lines) == 11
                assert sum(lines.values()) == 18.0
                labels = 'l="overflow"' if name == "c" else 'a="overflow",b="overflow"'
                assert lines[f"{line}{labels}}}"] == 8.0
                family = "c_total" if name == "c" else name
                assert found[f'sentinel_series_dropped_total{{family="{family}"}}'] == 8.0
            assert found["plain_total"] == 18.0
        logs = [peer.get("LOG") for peer in trio]
        assert [len(log) for log in logs] == [0, 2, 0]
        assert "the metric c_total is counted under 'overflow'" in logs[1][0]
        assert "SENTINEL_METRICS_MAX_SERIES" in logs[1][0]
        # Known label sets go on, and a removal makes room.
        trio[1].run("c.labels('0 0').inc()")
        trio[0].run("c.remove('0 1')")
        trio[2].scrape()  # where it learns of that
        trio[2].run("c.labels('fresh').inc()")
        found = trio[1].scrape()
        assert found['c_total{l="0 0"}'] == 2.0
        assert found['c_total{l="fresh"}'] == 1.0


def test_limit_of_series_while_only_in_memory(tmp_path: Path) -> None:
    """The limit holds too while the directory cannot be used, or memory would fill up."""
    place = tmp_path / "file"
    place.touch()
    before, after = call(place, series_limit.fold_in_memory)
    for found in (before, after):
        lines = {k: v for k, v in found.items() if k.startswith("c_total")}
        assert sum(lines.values()) == 50.0
        assert len(lines) == 11
        assert lines['c_total{l="overflow"}'] == 40.0


def test_a_family_whose_series_are_few_has_no_limit(store_dir: Path) -> None:
    """What `exempt` names, by the name that people see, is never folded."""
    found = call(store_dir, series_limit.exempt_some)
    assert [found[f'few_total{{l="{i}"}}'] for i in range(3)] == [1.0] * 3
    assert [found[f'few_seconds_count{{l="{i}"}}'] for i in range(3)] == [1.0] * 3
    assert not [line for line in found if "overflow" in line or "dropped" in line]


def test_recording_of_too_many_tools(store_dir: Path) -> None:
    """METRICS itself folds, and remembers nothing of the tools beyond the limit."""
    found, recorders, children = call(store_dir, series_limit.record_many_tools)
    requests = {k: v for k, v in found.items() if k.startswith("sentinel_requests_total")}
    assert len(requests) == 21
    assert sum(requests.values()) == 400.0
    assert requests['sentinel_requests_total{tool="overflow",status="overflow"}'] == 360.0
    assert found['sentinel_request_duration_seconds_count{tool="overflow"}'] == 360.0
    # Though prometheus_client makes them anew at each call, each tool is counted once.
    for family in ("sentinel_requests_total", "sentinel_request_duration_seconds"):
        assert found[f'sentinel_series_dropped_total{{family="{family}"}}'] == 180.0
    assert (recorders, children) == (20, 20)
