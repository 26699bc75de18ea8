"""What is measured of file storages."""

from __future__ import annotations

import asyncio
import inspect
import logging
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import (
    FileSystemStorage,
    InMemoryStorage,
    Storage,
    default_storage,
    storages,
)
from django.db import models
from django.test import override_settings
from django.test.utils import isolate_apps
from django.utils.functional import LazyObject

from metrics.instrument import storage as instrument
from metrics.instrument.bounds import FirstOnes
from tests.metrics.instrument.figures import Figures

COUNT = "django_storage_operation_duration_seconds_count"


class Before(Storage):
    """A storage that is there before it is measured, and keeps files in another one."""

    def __init__(self) -> None:
        self.inner = InMemoryStorage()

    def _open(self, name: str, mode: str = "rb") -> Any:
        return self.inner.open(name, mode)

    def _save(self, name: str, content: Any) -> str:
        return self.inner.save(name, content)

    def exists(self, name: str) -> bool:
        """Ask the other."""
        return self.inner.exists(name)


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    """Measure from here on: it harms no other test, as what a caller gets is the same."""
    instrument.install()
    instrument.install()


@pytest.fixture(autouse=True)
def _no_class_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with no class known."""
    monkeypatch.setattr(instrument, "_class_name", FirstOnes(instrument.MOST_CLASSES))


class Late(Before):
    """A storage that is made later, and has a method of its own."""

    def size(self, name: str) -> int:
        """Ask the other, twice."""
        return self.inner.size(name) if self.exists(name) else 0


class Mixin:
    """Something that overrides a method, and is no storage."""

    def exists(self, name: str) -> bool:
        """Say yes."""
        return True


class Mixed(Mixin, Before):
    """A storage, one of whose methods comes from something else."""


class WithoutBase:
    """A storage that derives from nothing."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer

    def exists(self, name: str) -> bool:
        """Say what it is told to."""
        return self.answer


class Lazy(LazyObject):  # type: ignore[type-arg]
    """A storage that is made when it is needed."""

    def _setup(self) -> None:
        self._wrapped = InMemoryStorage()


class Coroutine(Storage):
    """A storage with a coroutine."""

    async def exists(self, name: str) -> bool:  # type: ignore[override]
        """Say yes, in an event loop."""
        return True


def path(cls: type) -> str:
    """Return the dotted path of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


BACKENDS = {
    "files": "django.core.files.storage.FileSystemStorage",
    "memory": "django.core.files.storage.InMemoryStorage",
    "before": path(Before),
    "late": path(Late),
    "mixed": path(Mixed),
    "bare": path(WithoutBase),
    "lazy": path(Lazy),
}


@pytest.fixture(autouse=True)
def _media(tmp_path: Path) -> Iterator[None]:
    """Have storages of all kinds."""
    aliases = {alias: {"BACKEND": backend} for alias, backend in BACKENDS.items()}
    kept = {
        "default": {"BACKEND": BACKENDS["files"]},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    with override_settings(STORAGES=aliases | kept, MEDIA_ROOT=tmp_path / "media"):
        yield


def rows(figures: Figures) -> dict[tuple[str, str, str], float]:
    """Return how often each operation counted, by alias, operation and error."""
    return {
        (row["alias"], row["operation"], row.get("error_type", "")): row["n"]
        for row in figures.new()
    }


@pytest.mark.parametrize("alias", ["files", "memory", "lazy"])
def test_each_operation_counts_once(alias: str) -> None:
    """However many others it uses; what asks nothing of the storage does not count."""
    storage = storages[alias]
    counted = Figures(COUNT)
    name = storage.save("a.txt", ContentFile(b"abc"))
    assert storage.save("a.txt", ContentFile(b"abc")) != name  # after a look for a free name
    with storage.open(name) as file:
        assert file.read() == b"abc"
    assert storage.exists(name)
    assert storage.size(name) == 3
    assert len(storage.listdir("")[1]) == 2
    for get in (storage.get_accessed_time, storage.get_created_time, storage.get_modified_time):
        assert get(name) is not None
    storage.delete(name)
    assert storage.url(name) == "/a.txt"
    assert storage.path(name) if alias == "files" else True
    once = dict.fromkeys(((alias, operation, "") for operation in instrument.OPERATIONS), 1.0)
    assert rows(counted) == once | {(alias, "save", ""): 2.0}


def test_what_a_storage_raises() -> None:
    """Counts by its class, and comes to the caller; the next operation counts again."""
    storage = storages["files"]
    counted = Figures(COUNT)
    with pytest.raises(FileNotFoundError):
        storage.open("nothing")
    with pytest.raises(SuspiciousFileOperation):
        storage.save("../nothing", ContentFile(b""))
    with pytest.raises(NotImplementedError):
        storages["before"].listdir("")
    assert not storage.exists("nothing")
    assert rows(counted) == {
        ("files", "open", "FileNotFoundError"): 1.0,
        ("files", "save", "django.core.exceptions.SuspiciousFileOperation"): 1.0,
        ("before", "listdir", "NotImplementedError"): 1.0,
        ("files", "exists", ""): 1.0,
    }


@pytest.mark.parametrize("alias", ["before", "late", "mixed", "bare"])
def test_whatever_the_backend(alias: str) -> None:
    """It is measured once, under its alias, though it keeps its files in another one."""
    storage = storages[alias]
    counted = Figures(COUNT)
    assert storage.exists("a") is (alias in ("mixed", "bare"))
    expected = {(alias, "exists", ""): 1.0}
    if alias == "late":
        storage.save("a", ContentFile(b"abc"))
        assert storage.size("a") == 3
        expected |= {(alias, "save", ""): 1.0, (alias, "size", ""): 1.0}
    assert rows(counted) == expected


def test_the_storages_that_django_uses() -> None:
    """The default, by its short cut and in a field, and that of static files."""
    counted = Figures(COUNT)
    default_storage.save("a", ContentFile(b"abc"))
    assert not staticfiles_storage.exists("nothing")
    assert staticfiles_storage.url("a.css") == "/static/a.css"
    with isolate_apps("metrics"):

        class Document(models.Model):  # noqa: DJ008 - nobody reads its name
            file = models.FileField()
            other = models.FileField(storage=storages["memory"])

            class Meta:
                app_label = "metrics"

        document = Document()
        document.file.save("b", ContentFile(b"abc"), save=False)
        document.other.save("b", ContentFile(b"abc"), save=False)
        assert document.file.size == 3
        document.other.delete(save=False)
    assert rows(counted) == {
        ("default", "save", ""): 2.0,
        ("default", "size", ""): 1.0,
        ("memory", "save", ""): 1.0,
        ("memory", "delete", ""): 1.0,
        ("staticfiles", "exists", ""): 1.0,
    }


def test_a_storage_without_an_alias(tmp_path: Path) -> None:
    """Has the name of its class, and a hundred classes have theirs."""
    counted = Figures(COUNT)
    FileSystemStorage(tmp_path).exists("a")
    InMemoryStorage().exists("a")
    assert rows(counted) == {
        (path(FileSystemStorage), "exists", ""): 1.0,
        (path(InMemoryStorage), "exists", ""): 1.0,
    }
    counted = Figures(COUNT)
    for number in range(instrument.MOST_CLASSES + 50):
        type(f"Made{number}", (Before,), {})().exists("a")
    found = rows(counted)
    assert len(found) == instrument.MOST_CLASSES - 2 + 1
    assert found["_OTHER", "exists", ""] == 52.0


def test_threads_and_event_loops() -> None:
    """One storage serves many at once, and each call counts."""
    storage = storages["files"]
    counted = Figures(COUNT)
    threads = [
        threading.Thread(target=lambda: [storage.exists("a") for _ in range(100)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def main() -> None:
        exists = sync_to_async(storage.exists, thread_sensitive=False)
        await asyncio.gather(*(exists("a") for _ in range(20)))

    asyncio.run(main())
    assert rows(counted) == {("files", "exists", ""): 420.0}


def test_a_storage_is_what_it_was() -> None:
    """Its class, its pickle, what migrations write of it; a coroutine is left alone."""
    storage = storages["files"]
    assert type(storage) is FileSystemStorage
    assert pickle.loads(pickle.dumps(storage)).location == storage.location
    assert storage.deconstruct()[0] == "django.core.files.storage.FileSystemStorage"
    assert list(inspect.signature(storage.save).parameters) == ["name", "content", "max_length"]
    assert not [name for name in vars(storage) if "sentinel" in name]
    assert inspect.iscoroutinefunction(Coroutine.exists)
    for name in ("url", "path"):
        assert not hasattr(getattr(storage, name), "__wrapped__")


def test_a_fault_of_ours_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the caller has the answer."""
    monkeypatch.setattr(instrument, "_made", None)
    with caplog.at_level(logging.ERROR):
        assert not storages["files"].exists("a")
    assert "is not measured" in caplog.text
