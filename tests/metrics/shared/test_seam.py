"""The store under a whole Django process: what was made too early, and the client's own mode."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.metrics.shared.programs import early
from tests.support.harness import call


def run(tmp_path: Path, program: Callable[..., Any], *arguments: Any) -> Any:
    """Call a program of the project that sets Django up itself; return its answer."""
    done = call(tmp_path, program, *arguments, bare=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_metrics_made_before_the_store_are_moved_into_it(tmp_path: Path) -> None:
    """Of each type, with what they had counted, and so that other processes see it."""
    for times in (1, 2):  # the second process counts on
        found, messages = run(tmp_path, early.count_before_and_after)
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
    assert run(tmp_path, early.record_before_and_after) == [2.0]


def test_a_metric_that_cannot_be_moved_is_named(tmp_path: Path) -> None:
    """It goes on counting for its process; the log and the system check say so."""
    value, (message,) = run(tmp_path, early.refuse_to_move)
    assert value == 2.0
    assert message == (
        "Made before the shared store was installed, and not to be moved there: t_odd. Each"
        " process counts these for itself, and a scrape shows those of one process."
    )


def test_prometheus_clients_own_mode_is_named_and_writes_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PROMETHEUS_MULTIPROC_DIR set, the store works, and private metrics stay in memory."""
    (tmp_path / "multiproc").mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "multiproc"))
    message = (
        "The metric t_early was made before the shared store, in prometheus_client's multi-process"
        " mode: what it counted until then stays in a file of PROMETHEUS_MULTIPROC_DIR, and is in"
        " no scrape."
    )
    assert run(tmp_path, early.count_in_the_clients_mode) == [
        2.0,
        1.0,
        ["sentinel_metrics.W006"],
        True,
        [message],
    ]


def test_a_histogram_can_be_observed_while_it_is_moved(tmp_path: Path) -> None:
    """At no moment of its move does an observation fail or get lost."""
    assert run(tmp_path, early.observe_while_it_moves) == [12.0, 1.0, 1.0, 2.0]


def test_a_warning_of_prometheus_client_about_its_own_mode_is_heard(tmp_path: Path) -> None:
    """Its metrics do not forget label sets in its multi-process mode; ours do."""
    assert run(tmp_path, early.forget_in_both_modes) == [0, 2]


def test_the_checks_touch_nothing_lazy(tmp_path: Path) -> None:
    """A lazy object of the project that cannot be built yet is left alone by check and start."""
    assert run(tmp_path, early.keep_something_lazy) == [[], []]
