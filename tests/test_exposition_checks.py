"""The system checks of the metrics app: what each says, and under which id."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from metrics import shared


def messages() -> list[tuple[str | None, str]]:
    """Return id and text of what the checks of this app find."""
    return [
        (found.id, found.msg) for found in run_checks() if str(found.id).startswith("sentinel_m")
    ]


def test_nothing_to_say() -> None:
    """The sample project's settings pass."""
    assert messages() == []


@pytest.mark.parametrize(
    ("name", "value", "code", "text"),
    [
        (
            "SENTINEL_RUN_DIR",
            "relative",
            "E001",
            "SENTINEL_RUN_DIR must be \"auto\", None or an absolute path, not 'relative'",
        ),
        (
            "SENTINEL_METRICS_ENABLED",
            "no",
            "E002",
            "SENTINEL_METRICS_ENABLED must be True or False, not 'no'",
        ),
        (
            "SENTINEL_METRICS_ACCESS",
            {"BEARER": [""]},
            "E003",
            "SENTINEL_METRICS_ACCESS['BEARER'][0] must be a string that is not empty",
        ),
        (
            "SENTINEL_METRICS_MAX_SERIES",
            0,
            "E004",
            "SENTINEL_METRICS_MAX_SERIES must be a whole number above 0, not 0",
        ),
    ],
)
def test_wrong_setting(settings: Settings, name: str, value: Any, code: str, text: str) -> None:
    """A setting that cannot be used is an error that names it and says what it must be."""
    setattr(settings, name, value)
    assert messages() == [(f"sentinel_metrics.{code}", text)]


def test_metrics_made_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics that were made before the store was installed are named."""
    monkeypatch.setattr(shared, "created_before_install", lambda: ["early_one", "early_two"])
    assert messages() == [
        (
            "sentinel_metrics.W001",
            (
                "Made before the shared store was installed: early_one, early_two. Each process"
                " counts these for itself, and a scrape shows those of one process."
            ),
        )
    ]


def test_middleware_that_comes_too_late(settings: Settings) -> None:
    """The middleware must come before those that may turn a scrape away."""
    ours = "metrics.middleware.MetricsMiddleware"
    settings.MIDDLEWARE = [*(name for name in settings.MIDDLEWARE if name != ours), ours]
    [(code, text)] = messages()
    assert code == "sentinel_metrics.W002"
    assert text == (
        "MIDDLEWARE has django_prometheus.middleware.PrometheusBeforeMiddleware before"
        " metrics.middleware.MetricsMiddleware, which can then not answer a scrape first."
    )
