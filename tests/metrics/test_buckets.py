"""Buckets by family and by series, and objectives among them, as settings give them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from prometheus_client import CollectorRegistry

from metrics.conf import conf
from metrics.histograms import SecondsHistogram
from metrics.registry import Metrics

TOOLS = "sentinel_request_duration_seconds"


def bounds(registry: CollectorRegistry, name: str, **labels: str) -> dict[str, float]:
    """Return what each bucket of a series counts, by its bound."""
    return {
        sample.labels["le"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"{name}_bucket" and labels.items() <= sample.labels.items()
    }


def test_a_family_its_series_and_their_objectives() -> None:
    """The narrowest selector gives the bounds, and an objective is one of them."""
    with override_settings(
        SENTINEL_BUCKETS={
            TOOLS: [0.1, 1],
            f'{TOOLS}{{tool="train \\"a\\""}}': [60, 3600],
        },
        SENTINEL_OBJECTIVES={TOOLS: 0.3, f'{TOOLS}{{tool="search"}}': 1},
    ):
        metrics = Metrics()
        for tool, seconds in (("echo", 0.2), ("search", 0.2), ('train "a"', 100.0)):
            metrics.record_request(tool, "success", seconds)
        metrics.request_duration.labels("echo").observe(5)
    registry = metrics.registry
    assert bounds(registry, TOOLS, tool="echo") == {"0.1": 0, "0.3": 1, "1.0": 1, "+Inf": 2}
    assert bounds(registry, TOOLS, tool="search") == {"0.1": 0, "1.0": 1, "+Inf": 1}
    trained = {"0.3": 0, "60.0": 0, "3600.0": 1, "+Inf": 1}
    assert bounds(registry, TOOLS, tool='train "a"') == trained


def test_what_is_not_named_keeps_its_buckets() -> None:
    """Of another family, and of another series."""
    with override_settings(SENTINEL_BUCKETS={'a_seconds{l="x"}': [1], "b_seconds": [2]}):
        registry = CollectorRegistry()
        family = SecondsHistogram("a_seconds", "", ["l"], buckets=[3, 4], registry=registry)
        family.labels("x").observe(1)
        family.labels(l="y").observe(1)
        alone = SecondsHistogram("b_seconds", "", registry=registry)
        alone.observe(1)
    assert bounds(registry, "a_seconds", l="x") == {"1.0": 1, "+Inf": 1}
    assert bounds(registry, "a_seconds", l="y") == {"3.0": 1, "4.0": 1, "+Inf": 1}
    assert bounds(registry, "b_seconds") == {"2.0": 1, "+Inf": 1}


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        ("SENTINEL_BUCKETS", [1], "must be a dict of lists of seconds"),
        ("SENTINEL_BUCKETS", {1: [1]}, "1 must be a histogram's name"),
        ("SENTINEL_BUCKETS", {"a{b=c}": [1]}, "'a{b=c}' must be a histogram's name, or name{"),
        ("SENTINEL_BUCKETS", {"a": []}, "['a'] must be a list of numbers of seconds"),
        ("SENTINEL_BUCKETS", {"a": [2, 1]}, "each larger than the one before it, not [2, 1]"),
        ("SENTINEL_BUCKETS", {"a": [0, 1]}, "must be a list"),
        ("SENTINEL_BUCKETS", {"a": [1, float("inf")]}, "must be a list"),
        ("SENTINEL_BUCKETS", {"a": [float("nan")]}, "must be a list"),
        ("SENTINEL_BUCKETS", {"a": [True]}, "must be a list"),
        ("SENTINEL_BUCKETS", {"a": "12"}, "must be a list"),
        ("SENTINEL_OBJECTIVES", {"a": [1]}, "['a'] must be a number of seconds above 0"),
        ("SENTINEL_OBJECTIVES", {'a{b="c"}': 0}, "must be a number of seconds above 0, not 0"),
        ("SENTINEL_OBJECTIVES", 0.3, "must be a dict of numbers of seconds"),
    ],
)
def test_what_cannot_be_used_is_named(setting: str, value: Any, error: str) -> None:
    """By the setting, the key and what it must be; until then the default holds."""
    with override_settings(**{setting: value}):
        with pytest.raises(ImproperlyConfigured) as raised:
            _ = conf.buckets
        assert setting in str(raised.value)
        assert error in str(raised.value)
        metrics = Metrics()
        metrics.record_request("echo", "success", 0.2)
        assert len(bounds(metrics.registry, TOOLS, tool="echo")) == 15


def test_series_of_one_family_with_other_bounds_share_the_store(tmp_path: Path) -> None:
    """Several processes add up, each series with bounds of its own."""
    code = (
        "import django; django.setup()\n"
        "from metrics.registry import METRICS\n"
        "METRICS.record_request('echo', 'success', 0.2)\n"
        "METRICS.record_request('train', 'success', 100.0)\n"
    )
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "sentinel_project.settings",
        "SENTINEL_RUN_DIR": str(tmp_path / "run"),
        "SENTINEL_VAR_DIR": str(tmp_path / "var"),
        "SENTINEL_BUCKETS": f'{{"{TOOLS}{{tool=\\"train\\"}}": [60, 3600]}}',
    }
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], env=env, check=True)
    done = subprocess.run(
        [sys.executable, "manage.py", "dump_metrics", "--name", TOOLS],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert [line for line in lines if '"train"' in line and "_bucket" in line] == [
        f'{TOOLS}_bucket{{le="60.0",tool="train"}} 0.0',
        f'{TOOLS}_bucket{{le="3600.0",tool="train"}} 2.0',
        f'{TOOLS}_bucket{{le="+Inf",tool="train"}} 2.0',
    ]
    assert f'{TOOLS}_bucket{{le="0.25",tool="echo"}} 2.0' in lines
    assert f'{TOOLS}_bucket{{le="60.0",tool="echo"}}' not in done.stdout
