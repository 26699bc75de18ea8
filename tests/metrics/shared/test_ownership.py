"""Which metrics count for the service, and which for their process alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.metrics.shared.programs import own_registries
from tests.support.harness import call


def run(tmp_path: Path, program: Callable[..., Any], *arguments: Any) -> Any:
    """Call a program of the project; return its answer."""
    done = call(tmp_path, program, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_registry_of_ones_own_stays_with_its_process(tmp_path: Path) -> None:
    """Each begins at 0, in each process, for each type, and none shows in /metrics."""
    for _ in range(2):
        found, shown = run(tmp_path, own_registries.count_in_ones_own)
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
    earlier: list[str] = []
    for times in (1.0, 2.0):
        before, after = run(tmp_path, own_registries.share_later)
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
        seen, total = run(tmp_path, own_registries.make_again)
        assert seen == [[lines(0), 0.0], lines(5), [lines(0), 0.0], lines(7)]
        assert f't_c_total{{l="a"}} {12.0 * times}' in total
        assert f"t_h_count {2.0 * times}" in total


def test_what_all_processes_counted_can_be_read_as_a_registry(tmp_path: Path) -> None:
    """ALL_PROCESSES gives prometheus_client's functions what /metrics shows."""
    for times in (1, 2):
        same, found = run(tmp_path, own_registries.read_all_processes)
        assert same is True
        assert found == [f't_c_total{{l="a"}} {2.0 * times}', f"t_g {3.0 * times}"]


def test_what_has_no_shared_values_is_the_answering_process_own(tmp_path: Path) -> None:
    """Info, Enum and custom collectors come once, from whoever answers, beside all counts."""
    for number, jobs in ((1, 1.0), (2, 3.0)):  # the second answers when the first is gone
        assert sorted(run(tmp_path, own_registries.answer, number)) == [
            f't_about_info{{process="{number}"}} 1.0',
            f"t_custom {number}.0",
            f"t_jobs_total {jobs}",
            f't_state{{t_state="one"}} {2.0 - number}',
            f't_state{{t_state="two"}} {number - 1.0}',
        ]
