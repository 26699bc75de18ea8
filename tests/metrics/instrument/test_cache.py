"""What is measured of caches."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
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


class NestedCache(LocMemCache):
    """A backend whose ``get`` uses its ``get_many``, as that in a database does."""

    def get_many(self, keys: Any, version: Any = None) -> Any:
        """Get."""
        found = {key: LocMemCache.get(self, key, self, version) for key in keys}
        return {key: value for key, value in found.items() if value is not self}

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        """Get."""
        return self.get_many([key], version).get(key, default)


BACKENDS = {
    "locmem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "m"},
    "file": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache"},
    "native": {"BACKEND": f"{__name__}.NativeCache", "LOCATION": "n"},
    "nested": {"BACKEND": f"{__name__}.NestedCache", "LOCATION": "e"},
}


@pytest.fixture(params=BACKENDS)
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return a cache, whose alias is ``default``."""
    setting = {"LOCATION": str(tmp_path)} | BACKENDS[request.param]
    with override_settings(CACHES={"default": setting}):
        yield caches["default"]
        caches["default"].clear()


def operations(figures: Figures) -> dict[str, float]:
    """Return how often each was counted."""
    return {row["operation"]: row["n"] for row in figures.new()}


def keys(figures: Figures) -> float:
    """Return how many were counted."""
    return float(sum(row["n"] for row in figures.new()))


ONCE = (
    "add decr decr_version delete delete_many get_many has_key incr incr_version set set_many touch"
)


def test_each_call_counts_once(cache: BaseCache) -> None:
    """However many others a method uses; keys are hits or misses."""
    counted, hits, misses = Figures(COUNT), Figures(HITS), Figures(MISSES)
    cache.set("a", None)
    cache.set_many({"b": 2, "c": 3})
    assert cache.get("a", "default") is None
    assert cache.get("x", "default") == "default"
    assert cache.get_many(["a", "b", "x", "b"]) == {"a": None, "b": 2}
    assert not cache.add("b", 1)
    assert cache.incr("b") == 3
    assert cache.decr("b") == 2
    assert "b" in cache
    assert cache.touch("b")
    assert cache.incr_version("b") == 2
    assert cache.decr_version("b", version=2) == 1
    assert cache.delete("b")
    cache.delete_many(["a", "c"])
    assert operations(counted) == {"get": 2, **dict.fromkeys(ONCE.split(), 1)}
    assert hits.new() == [{"alias": "default", "n": 3.0}]
    assert misses.new() == [{"alias": "default", "n": 2.0}]


def test_each_coroutine_counts_once(cache: BaseCache) -> None:
    """Under the name of the method, whether it goes to a thread or is a backend's own."""
    counted, hits, misses = Figures(COUNT), Figures(HITS), Figures(MISSES)

    async def calls() -> None:
        await cache.aset("a", None)
        await cache.aset_many({"b": 2, "c": 3})
        assert await cache.aget("a", "default") is None
        assert await cache.aget("x", "default") == "default"
        assert await cache.aget_many(["a", "b", "x"]) == {"a": None, "b": 2}
        assert not await cache.aadd("b", 1)
        assert await cache.aincr("b") == 3
        assert await cache.adecr("b") == 2
        assert await cache.ahas_key("b")
        assert await cache.atouch("b")
        assert await cache.aincr_version("b") == 2
        assert await cache.adecr_version("b", version=2) == 1
        assert await cache.adelete("b")
        await cache.adelete_many(["a", "c"])

    asyncio.run(calls())
    assert operations(counted) == {"get": 2, **dict.fromkeys(ONCE.split(), 1)}
    assert hits.new() == [{"alias": "default", "n": 3.0}]
    assert misses.new() == [{"alias": "default", "n": 2.0}]


@pytest.mark.parametrize("is_async", [False, True])
def test_what_is_made_where_it_is_missing(cache: BaseCache, is_async: bool) -> None:
    """A write tells a miss; what makes it calls the cache for itself."""
    counted, hits, misses = Figures(COUNT), Figures(HITS), Figures(MISSES)

    def make() -> int:
        return len(cache.get_many(["1", "2"]))

    def get_or_set(default: Any) -> Any:
        if is_async:
            return asyncio.run(cache.aget_or_set("key", default))
        return cache.get_or_set("key", default)

    assert get_or_set(make) == 0
    assert get_or_set(make) == 0
    assert get_or_set(5) == 0
    assert operations(counted) == {"get_or_set": 3, "get_many": 1}
    assert (keys(hits), keys(misses)) == (2, 3)


def test_a_default_that_was_stored(cache: BaseCache) -> None:
    """It cannot be told from none: a miss, as with django-prometheus."""
    cache.set("a", None)
    hits, misses = Figures(HITS), Figures(MISSES)
    assert cache.get("a") is None
    assert cache.get("a", default=None) is None
    assert (keys(hits), keys(misses)) == (0, 2)
    assert cache.get("a", default=5) is None
    assert cache.get("a", 5, version=1) is None
    assert (keys(hits), keys(misses)) == (2, 2)


def test_keys_that_come_only_once(cache: BaseCache) -> None:
    """They are all there for the backend, and counted."""
    cache.set("a", 1)
    hits, misses = Figures(HITS), Figures(MISSES)
    assert cache.get_many(key for key in "ab") == {"a": 1}
    assert cache.get_many(keys=iter("ab")) == {"a": 1}
    assert (keys(hits), keys(misses)) == (2, 2)


class Waiting(LocMemCache):
    """A backend all of whose callers meet in it."""

    meeting = threading.Barrier(5, timeout=30)

    def has_key(self, key: Any, version: Any = None) -> bool:
        """Wait for the others, and ask another method."""
        self.meeting.wait()
        return super().has_key(key, version)


def test_threads_that_share_an_object() -> None:
    """Each one's call counts, while the others' run."""
    with override_settings(CACHES={"default": {"BACKEND": f"{__name__}.Waiting"}}):
        cache: Any = caches["default"]
        counted = Figures(COUNT)
        with ThreadPoolExecutor(5) as pool:
            assert not any(pool.map(cache.has_key, range(5)))
    assert operations(counted) == {"has_key": 5}


def test_tasks_that_share_a_thread() -> None:
    """Each one's call counts, while the others' run."""

    async def calls(cache: Any) -> None:
        await asyncio.gather(*(cache.aget("a") for _ in range(5)))

    with override_settings(CACHES={"default": BACKENDS["native"]}):
        counted, misses = Figures(COUNT), Figures(MISSES)
        asyncio.run(calls(caches["default"]))
    assert operations(counted) == {"get": 5}
    assert keys(misses) == 5


class ReadThrough(LocMemCache):
    """A backend that makes what is missing, and takes None for that."""

    def get(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        """Get, or make."""
        found = super().get(key, *args, **kwargs)
        return f"made {args} {kwargs}" if found is None else found


def test_arguments_arrive_as_they_are() -> None:
    """No default of ours comes to a backend, whose answer may hang on it."""
    with override_settings(CACHES={"default": {"BACKEND": f"{__name__}.ReadThrough"}}):
        cache: Any = caches["default"]
        assert cache.get("k") == "made () {}"
        assert cache.get("k", version=2) == "made () {'version': 2}"
        assert cache.get("k", None) == "made (None,) {}"


class Few:
    """A backend that has a few methods, and slots."""

    __slots__ = ("stored",)

    def __init__(self, location: str, params: Any) -> None:
        self.stored: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Get."""
        return self.stored.get(key, default)

    @staticmethod
    def clear() -> str:
        """Return something."""
        return "cleared"

    def close(self) -> None:
        """Do nothing."""


def test_a_backend_with_less() -> None:
    """What it has is measured."""
    with override_settings(CACHES={"default": {"BACKEND": f"{__name__}.Few"}}):
        cache: Any = caches["default"]
        counted = Figures(COUNT)
        assert cache.get("a", default=3) == 3
        assert cache.clear() == "cleared"
        assert not hasattr(cache, "set")
    assert operations(counted) == {"get": 1}


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


class Rigid(LocMemCache):
    """A backend whose objects stay what they are."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "__class__":
            raise TypeError("no")
        super().__setattr__(name, value)


class Registered(LocMemCache):
    """A backend whose subclasses must say more."""

    def __init_subclass__(cls, *, kind: str) -> None:
        """Take the kind."""


@pytest.mark.parametrize("cls", [Rigid, Registered])
def test_a_cache_whose_class_takes_no_other(
    caplog: pytest.LogCaptureFixture, cls: type[LocMemCache]
) -> None:
    """It is left as it is, and the log says so once."""
    for _ in range(3):
        rigid = cls("rigid", {})
        instrument.measure(rigid, "rigid")
        assert type(rigid) is cls
        assert rigid.get("a", 5) == 5
    [said] = caplog.messages
    assert said.startswith("cache rigid is not measured: ")


def test_keys_that_cannot_be(cache: BaseCache) -> None:
    """The cache's own check of keys comes to pass."""
    with pytest.raises(TypeError):
        cache.get()  # type: ignore[call-arg]
    assert issubclass(InvalidCacheKey, ValueError)
