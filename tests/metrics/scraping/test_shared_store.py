"""A scrape of the shared store, read by a process that counted only a part of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric

from tests.metrics.scraping.programs import shared_store as programs
from tests.support.awkward import LABELS, VALUES
from tests.support.harness import call
from tests.support.parsers import parse_openmetrics, parse_text


def run(tmp_path: Path, program: Callable[..., Any], *arguments: Any) -> str:
    """Call a program in a process of its own that shares the store; return what it prints."""
    done = call(tmp_path, program, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def families(text: str) -> dict[str, Metric]:
    """Parse OpenMetrics strictly."""
    return {family.name: family for family in parse_openmetrics(text)}


def test_what_another_process_counted(tmp_path: Path) -> None:
    """Values and exemplars of a process that has ended are there, NaN and all."""
    run(tmp_path, programs.count_with_exemplars)
    text = run(tmp_path, programs.answer_in_openmetrics)
    found = families(text)
    [total] = found["t_jobs"].samples
    assert total.exemplar is not None
    assert (total.value, total.exemplar.labels) == (3.0, {"trace_id": "abc"})
    bucket = next(s for s in found["t_size"].samples if s.labels == {"le": "2.0"})
    assert bucket.exemplar is not None
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
    path = str(tmp_path / "awkward.json")
    run(tmp_path, programs.count_awkwardly, path)
    out = run(tmp_path, programs.answer_awkwardly, path)
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
    out = run(tmp_path, programs.answer_with_units)
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
    out = run(tmp_path, programs.answer_with_labels_of_ours, list(names), values)
    text, _, as_json = out.rstrip().rpartition("\n")
    expected = [{**labels, ours: "0"} for labels in values]
    assert json.loads(as_json) == expected
    escaped = [{name.replace(".", "_"): value for name, value in one.items()} for one in expected]
    assert [sample.labels for sample in families(text + "\n")["t_own"].samples] == escaped


def test_our_families_displace_none(tmp_path: Path) -> None:
    """A family that a user's collector gives under a name of ours keeps its type and samples."""
    text = run(tmp_path, programs.answer_with_families_of_ours)
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
    run(tmp_path, programs.set_gauges)
    text = run(tmp_path, programs.answer_with_gauges)
    assert [line for line in text.splitlines() if line.startswith("t_") and "{of=" in line] == [
        't_max{of="command"} 5.0',
        't_mostrecent{of="command"} 5.0',
    ]
    assert "\nt_default" not in text


def test_a_gauge_that_asks_a_function(tmp_path: Path) -> None:
    """What the function gives in the answering process stands in place of stored values."""
    run(tmp_path, programs.set_asked)
    text = run(tmp_path, programs.answer_with_a_function)
    assert text.count("\nt_asked ") == 1
    assert "\nt_asked 7.0\n" in text


@pytest.mark.parametrize("broken", ["store.Store", "reader.Reader"])
def test_a_store_that_cannot_be_read(tmp_path: Path, broken: str) -> None:
    """The rest of the scrape is served, and this process's part is not taken for the whole."""
    text = run(tmp_path, programs.answer_without_the_store, broken)
    assert "t_jobs" not in text
    assert "sentinel_build_info{" in text
    assert "\nsentinel_scrape_left_out 1.0\n" in text
    assert "('the shared store: see the log',)" in text


def test_text_is_prepared_once(tmp_path: Path) -> None:
    """While the families stay the same, each format's text is prepared once."""
    out = run(tmp_path, programs.prepare_once)
    assert out == "True\nTrue True\nTrue True\n"


def test_created_samples(tmp_path: Path) -> None:
    """``created`` tells when the first process made each series, in each format's own way."""
    begun = time.time()
    run(tmp_path, programs.count_once)
    ended = time.time()
    out = run(tmp_path, programs.answer_with_created)
    openmetrics, of_family, of_samples, text, text_of_family, text_of_samples = json.loads(out)
    found = families(openmetrics)
    made = {s.labels["kind"]: s.value for s in found["t_jobs"].samples if s.name[-8:] == "_created"}
    assert begun - 0.001 <= made["a"] <= ended <= made['b "c"'] <= time.time() + 0.001
    totals = {s.labels["kind"]: s for s in found["t_jobs"].samples if s.name == "t_jobs_total"}
    assert totals["a"].exemplar is not None
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
    exemplar = found["t_size"].samples[1].exemplar
    assert exemplar is not None
    assert exemplar.labels == {"trace_id": "def"}
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
    out = run(tmp_path, programs.remove_and_make_again)
    assert out == "True\nTrue True\n"


def test_created_times_that_cannot_be_read(tmp_path: Path) -> None:
    """Without them the scrape is served, and says that something is missing."""
    out = run(tmp_path, programs.answer_without_created_times)
    assert out == "True ('the times at which series were made: not yours',)\n"
