"""What is measured of caches."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import BaseCache, InvalidCacheKey, caches
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings

from metrics.instrument import cache as instrument
from tests.metrics.instrument.figures import Figures

HITS, MISSES = "cache_client_hits_total", "cache_client_misses_total"
COUNT = "cache_client_operation_duration_seconds_count"


class NativeCache(LocMemCache):
    """A backend with a ``get`` that takes more than Django's, and a coroutine of its own."""

    def get(self, key: Any, default: Any = None, version: Any = None, client: Any = None) -> Any:
        """Get."""
        return super().get(key, default, version) if client is None else client

    async def aget(self, key: Any, default: Any = None, version: Any = None) -> Any:
        """Get, in the event loop."""
        await asyncio.sleep(0)
        return super().get(key, default, version)


BACKENDS = {
    "locmem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "m"},
    "file": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache"},
    "native": {"BACKEND": f"{__name__}.NativeCache", "LOCATION": "n"},
}


@pytest.fixture(params=BACKENDS)
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return a cache, whose alias is ``default``."""
    setting = {"LOCATION": str(tmp_path)} | BACKENDS[request.param]
    with override_settings(CACHES={"default": setting}):
        yield caches["default"]
        caches["default"].clear()


def test_each_call_counts_once(cache: BaseCache) -> None:
    """However many others a method uses; keys are hits or misses."""
    counted, hits, misses = Figures(COUNT), Figures(HITS), Figures(MISSES)
    cache.set("a", None)
    cache.set_many({"b": 2, "c": 3})
    assert cache.get("a", "default") is None
    assert cache.get("x", "default") == "default"
    assert cache.get_many(["a", "b", "x"]) == {"a": None, "b": 2}
    assert cache.get_or_set("y", lambda: 5) == 5
    assert not cache.add("b", 1)
    assert cache.incr("b") == 3
    assert cache.decr("b") == 2
    assert "b" in cache
    assert cache.touch("b")
    assert cache.delete("b")
    cache.delete_many(["a", "c"])
    found = {row["operation"]: row["n"] for row in counted.new()}
    assert found.pop("get") == 4  # two of them are get_or_set's, as is one of add
    assert found.pop("add") == 2
    once = "decr delete delete_many get_many has_key incr set set_many touch"
    assert found == dict.fromkeys(once.split(), 1)
    assert hits.new() == [{"alias": "default", "n": 4.0}]
    assert misses.new() == [{"alias": "default", "n": 3.0}]


def test_what_a_cache_raises_counts_by_its_class(cache: BaseCache) -> None:
    """And is raised; the next call counts again."""
    counted = Figures(COUNT)
    with pytest.raises(ValueError, match="not found"):
        cache.incr("nothing")
    cache.get("nothing")
    assert counted.new() == [
        {"alias": "default", "operation": "incr", "error_type": "ValueError", "n": 1.0},
        {"alias": "default", "operation": "get", "n": 1.0},
    ]


def test_a_cache_is_what_it_was(cache: BaseCache) -> None:
    """It is of its backend's class, looks like one, and goes when nobody needs it."""
    cls = type(cache)
    assert isinstance(cache, cls.__mro__[1])
    assert (cls.__name__, cls.__module__) == (cls.__mro__[1].__name__, cls.__mro__[1].__module__)
    made = caches.create_connection("default")
    assert type(made) is cls
    gone = weakref.ref(made)
    gc.disable()
    try:
        del made
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("cache", ["native"], indirect=True)
def test_a_backend_with_more(cache: Any) -> None:
    """Its own parameter arrives, and its coroutine is measured in its loop."""
    counted = Figures(COUNT)
    assert cache.get("a", client="theirs") == "theirs"
    assert cache.get("a", 5) == 5
    assert asyncio.run(cache.aget("a", 6)) == 6
    assert asyncio.run(cache.aset("a", 1)) is None
    assert sorted((row["operation"], row["n"]) for row in counted.new()) == [
        ("get", 3.0),
        ("set", 1.0),
    ]


def test_a_cache_whose_class_takes_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is left as it is, and the log says so."""

    class Rigid(BaseCache):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "__class__":
                raise TypeError("no")
            super().__setattr__(name, value)

    rigid = Rigid({})
    instrument.measure(rigid, "rigid")
    assert type(rigid) is Rigid
    assert "cache rigid is not measured" in caplog.text


def test_keys_that_cannot_be(cache: BaseCache) -> None:
    """The cache's own check of keys comes to pass."""
    with pytest.raises(TypeError):
        cache.get()  # type: ignore[call-arg]
    assert issubclass(InvalidCacheKey, ValueError)
