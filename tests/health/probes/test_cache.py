"""The probe of a cache."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import caches
from django.test import override_settings

from health.checks import check_health_store
from health.probes import CacheProbe
from tests.support.probes import doubts, outcome, refusals


def test_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round trip through a cache that keeps, and one that forgets."""
    locmem = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    with override_settings(CACHES={"default": locmem}):
        assert outcome(CacheProbe()) is None
        monkeypatch.setattr(caches["default"], "get", lambda _: None)
        assert outcome(CacheProbe(), 0.1) == "what was written could not be read back"


LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
DUMMY = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}


@override_settings(CACHES={"default": LOCMEM, "none": DUMMY})
def test_a_cache_that_is_none() -> None:
    """What keeps nothing is refused; what is this process's own memory is warned of."""
    assert refusals("health.probes.CacheProbe", alias="none") == [
        "['OPTIONS']: CACHES['none'] is a DummyCache, which keeps nothing"
    ]
    assert refusals("health.probes.CacheProbe") == []
    assert doubts("health.probes.CacheProbe") == [
        "CACHES['default'] is a LocMemCache, each process's own: it is well while the process is"
    ]


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("cache:none", "sentinel_health.E004"),
        ("cache:default", "sentinel_health.W009"),
        ("cache:broken", "sentinel_health.E004"),
    ],
)
def test_a_board_in_a_cache_that_is_none(store: str, expected: str) -> None:
    """A board needs a cache that keeps it, and that all processes share."""
    broken = {"BACKEND": "no.such.Cache"}
    with override_settings(
        CACHES={"default": LOCMEM, "none": DUMMY, "broken": broken}, SENTINEL_HEALTH_STORE=store
    ):
        assert [message.id for message in check_health_store()] == [expected]


@override_settings(CACHES={"default": LOCMEM})
def test_a_cache_that_reads_from_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a replica shows a moment later is there."""
    cache = caches["default"]
    get, asked = cache.get, []

    def late(key: str) -> Any:
        asked.append(key)
        return get(key) if len(asked) > 2 else None

    monkeypatch.setattr(cache, "get", late)
    assert outcome(CacheProbe()) is None
    assert len(asked) == 3
