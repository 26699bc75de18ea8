"""django-prometheus' families, filled by our measurements."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from metrics.conf import conf
from tests.support.harness import ROOT


def samples(namespace: str) -> dict[str, float]:
    """Return what the program counted, but seconds."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.metrics.instrument.programs.both_names", namespace],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return {name: value for name, value in found.items() if "seconds_sum" not in name}


VIEW = "view=tests.metrics.instrument.site."
UNNAMED = "view=<unnamed view>"
REQUESTS = {
    "requests_before_middlewares_total{}": 9,
    "responses_before_middlewares_total{}": 9,
    "ajax_requests_total{}": 1,
    "requests_total_by_method_total{method=GET}": 7,
    "requests_total_by_method_total{method=POST}": 1,
    "requests_total_by_method_total{method=<invalid method>}": 1,
    "requests_total_by_transport_total{transport=http}": 8,
    "requests_total_by_transport_total{transport=https}": 1,
    f"requests_total_by_view_transport_method_total{{method=GET,transport=http,{VIEW}well}}": 2,
    f"requests_total_by_view_transport_method_total{{method=POST,transport=https,{VIEW}well}}": 1,
    f"requests_total_by_view_transport_method_total{{method=GET,transport=http,{UNNAMED}}}": None,
    "requests_body_total_bytes_count{}": 9,
    "requests_body_total_bytes_sum{}": 100,
    "requests_body_total_bytes_bucket{le=64.0}": 8,
    "requests_body_total_bytes_bucket{le=128.0}": 9,
    "requests_latency_including_middlewares_seconds_bucket{le=1000.0}": 9,
    f"requests_latency_seconds_by_view_method_count{{method=GET,{VIEW}well}}": 2,
    f"requests_latency_seconds_by_view_method_count{{method=GET,{UNNAMED}}}": 1,
    # once for its exception, and once for its answer
    f"requests_latency_seconds_by_view_method_count{{method=GET,{VIEW}broken}}": 2,
    "responses_total_by_charset_total{charset=utf-8}": 9,
    "responses_total_by_status_total{status=200}": 6,
    "responses_total_by_status_total{status=404}": 2,
    "responses_total_by_status_total{status=500}": 1,
    f"responses_total_by_status_view_method_total{{method=GET,status=200,{VIEW}well}}": 2,
    f"responses_total_by_status_view_method_total{{method=GET,status=404,{UNNAMED}}}": 1,
    "responses_streaming_total{}": 1,
    "responses_body_total_bytes_count{}": 8,
    "exceptions_total_by_type_total{type=Http404}": 1,
    "exceptions_total_by_type_total{type=OddError}": 1,
    f"exceptions_total_by_view_total{{{VIEW}missing}}": 1,
    f"exceptions_total_by_view_total{{{VIEW}broken}}": 1,
}
"""What the program's nine requests count."""
OTHERS = {
    "django_db_new_connections_total{alias=default,vendor=sqlite}": 1,
    "django_db_new_connections_total{alias=nowhere,vendor=sqlite}": 1,
    "django_db_new_connection_errors_total{alias=nowhere,vendor=sqlite}": 1,
    "django_db_execute_total{alias=default,vendor=sqlite}": 5,
    "django_db_execute_many_total{alias=default,vendor=sqlite}": 3,
    "django_db_errors_total{alias=default,type=OperationalError,vendor=sqlite}": 1,
    "django_db_query_duration_seconds_count{alias=default,vendor=sqlite}": 3,
    "django_db_query_duration_seconds_bucket{alias=default,le=1000.0,vendor=sqlite}": 3,
    "django_cache_get_total{backend=locmem}": 4,
    "django_cache_get_hits_total{backend=locmem}": 2,
    "django_cache_get_misses_total{backend=locmem}": 2,
}


def test_its_families_count_as_it_does() -> None:
    """Requests, queries and cache calls, with its buckets and its rules."""
    found = samples("")
    expected = {f"django_http_{name}": value for name, value in REQUESTS.items()} | OTHERS
    assert {name: found.get(name) for name in expected} == expected
    series = {name for name in found if "_by_view" in name or "_by_status" in name}
    assert not [name for name in series if "/items/" in name]


def test_its_namespace_is_kept() -> None:
    """As its own setting says."""
    assert samples("shop")["shop_django_http_requests_before_middlewares_total{}"] == 9


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("MIDDLEWARE", ["django_prometheus.middleware.PrometheusBeforeMiddleware"]),
        ("DATABASES", {"default": {"ENGINE": "django_prometheus.db.backends.sqlite3"}}),
        ("CACHES", {"default": {"BACKEND": "django_prometheus.cache.backends.locmem.LocMemCache"}}),
    ],
)
def test_both_at_once_are_an_error(settings: Settings, setting: str, value: Any) -> None:
    """All would count twice; the check names what is to go."""
    settings.SENTINEL_INSTRUMENT = ["requests", "django_prometheus"]
    settings.MIDDLEWARE = []
    setattr(settings, setting, value)
    [found] = [found for found in run_checks() if found.id == "sentinel_metrics.E012"]
    assert "django_prometheus." in found.msg
    assert setting in found.msg


def test_migrations_of_both_are_an_error(settings: Settings) -> None:
    """Ours fill its families where both are named, and its own switch would once more."""
    settings.MIDDLEWARE = []
    settings.PROMETHEUS_EXPORT_MIGRATIONS = True

    def found() -> list[str]:
        return [found.msg for found in run_checks() if found.id == "sentinel_metrics.E012"]

    settings.SENTINEL_INSTRUMENT = ["django_prometheus"]
    assert not found()
    settings.SENTINEL_INSTRUMENT = ["django_prometheus", "migrations"]
    assert found() == [
        (
            "PROMETHEUS_EXPORT_MIGRATIONS is True, and SENTINEL_INSTRUMENT names migrations and"
            " django_prometheus: both fill the same families, so that all counts twice."
        )
    ]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("PROMETHEUS_LATENCY_BUCKETS", [5, ["a"], [], None, (5, 1), [math.inf], [1, 10**400]]),
        ("PROMETHEUS_METRIC_NAMESPACE", ["a-b", "1", 5, b"a"]),
    ],
)
def test_its_settings_that_cannot_be_used(settings: Settings, name: str, values: list[Any]) -> None:
    """They are errors that name them, and no server starts."""
    settings.MIDDLEWARE = []
    for value in values:
        setattr(settings, name, value)
        settings.SENTINEL_INSTRUMENT = ["django_prometheus"]
        [found] = [found for found in run_checks() if found.id == "sentinel_metrics.E013"]
        assert found.msg.startswith(f"{name} must be ")
        with pytest.raises(ImproperlyConfigured, match=name):
            conf.require_usable()
        settings.SENTINEL_INSTRUMENT = []  # nobody reads them
        conf.require_usable()


def test_its_settings_as_it_takes_them(settings: Settings) -> None:
    """No namespace, and bounds with or without the last one."""
    settings.PROMETHEUS_METRIC_NAMESPACE = None
    assert conf.django_prometheus_namespace == ""
    for buckets in ([1, 2.5], (1, 2.5, math.inf)):
        settings.PROMETHEUS_LATENCY_BUCKETS = buckets
        assert conf.django_prometheus_buckets == (1.0, 2.5)
