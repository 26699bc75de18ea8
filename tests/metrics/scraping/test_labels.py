"""Labels of every sample, as ``SENTINEL_LABELS`` gives them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import Client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from metrics.exposition import OPENMETRICS_1_0_0
from metrics.scraping.gatherer import Gatherer
from metrics.scraping.scraper import Scraper
from tests.support.harness import ROOT

parse: Any = text_string_to_metric_families
parse_openmetrics: Any = openmetrics.text_string_to_metric_families


class _Custom:
    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("t_custom", "Custom", labels=["env"])
        family.add_metric(["its own"], 1)
        yield family
        yield GaugeMetricFamily("t_other", "Other", 2)


def test_each_sample_has_them_but_one_that_has_its_own(settings: Settings) -> None:
    """Series of metrics and of collectors, with and without labels, in both kinds of formats."""
    settings.SENTINEL_LABELS = {"region": 'eu "1"', "env": "50%"}
    registry = CollectorRegistry()
    Counter("t_plain", "Plain", registry=registry).inc()
    Gauge("t_env", "Env", ["env", "z"], registry=registry).labels("mine", "1").set(1)
    Histogram("t_took", "Took", ["a"], buckets=[1], registry=registry).labels("x").observe(1)
    custom: Any = _Custom()
    registry.register(custom)
    scraper = Scraper(Gatherer(registry))
    text = scraper.render().text
    assert [line for line in text.splitlines() if line[0] != "#"] == [
        't_plain_total{env="50%",region="eu \\"1\\""} 1.0',
        't_env{env="mine",region="eu \\"1\\"",z="1"} 1.0',
        't_took_bucket{a="x",env="50%",le="1.0",region="eu \\"1\\""} 1.0',
        't_took_bucket{a="x",env="50%",le="+Inf",region="eu \\"1\\""} 1.0',
        't_took_count{a="x",env="50%",region="eu \\"1\\""} 1.0',
        't_took_sum{a="x",env="50%",region="eu \\"1\\""} 1.0',
        't_custom{env="its own",region="eu \\"1\\""} 1.0',
        't_other{env="50%",region="eu \\"1\\""} 2.0',
        'sentinel_scrape_left_out{env="50%",region="eu \\"1\\""} 0.0',
    ]
    parsed = [
        *parse(text),
        *parse_openmetrics(scraper.render(OPENMETRICS_1_0_0).text),
    ]
    samples = [sample for family in parsed for sample in family.samples]
    assert len(samples) == 18
    assert {sample.labels["region"] for sample in samples} == {'eu "1"'}
    settings.SENTINEL_LABELS = {}
    assert "t_plain_total 1.0\n" in scraper.render().text


def test_a_scrape_shows_them(client: Client, settings: Settings) -> None:
    """Those of the application and of Sentinel itself, the same from scrape to scrape."""
    settings.SENTINEL_LABELS = {"env": "prod"}
    for _ in range(2):
        lines = client.get("/metrics").content.decode().splitlines()
        assert all('env="prod"' in line for line in lines if line[0] != "#")


@pytest.mark.parametrize(
    "value",
    [
        ["env"],
        {"le": "x"},
        {"quantile": "x"},
        {"__name__": "x"},
        {"a-b": "x"},
        {1: "x"},
        {"env": ""},
        {"env": 1},
    ],
)
def test_labels_that_cannot_be(settings: Settings, value: Any) -> None:
    """The system check names the setting and what is wrong."""
    settings.SENTINEL_LABELS = value
    [found] = [found for found in run_checks() if found.id == "sentinel_metrics.E011"]
    assert "SENTINEL_LABELS" in found.msg


def test_a_dump_shows_them(tmp_path: Path) -> None:
    """Over processes, in the text and in JSON, from the environment of the sample project."""
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "sentinel_project.settings",
        "SENTINEL_RUN_DIR": str(tmp_path / "run"),
        "SENTINEL_VAR_DIR": str(tmp_path / "var"),
        "SENTINEL_LABELS": '{"env": "prod"}',
    }
    code = (
        "import django; django.setup()\n"
        "from metrics.registry import METRICS\n"
        "METRICS.record_request('echo', 'success', 0.2)\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True)
    name = "sentinel_requests_total"
    dump = [sys.executable, "manage.py", "dump_metrics", "--name", f"^{name}$"]
    text, listed = (
        subprocess.run(
            [*dump, "--format", fmt], cwd=ROOT, env=env, check=True, capture_output=True, text=True
        ).stdout
        for fmt in ("text", "json")
    )
    assert f'{name}{{env="prod",status="success",tool="echo"}} 2.0\n' in text
    [sample] = json.loads(listed)[0]["samples"]
    assert sample["labels"] == {"env": "prod", "tool": "echo", "status": "success"}
