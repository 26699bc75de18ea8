"""The board: what is known of each backend, the same in every process.

Use `BOARD`, the service's own; ``BackendHealthMap()`` makes one that shares nothing.
"""

from __future__ import annotations

import functools

from django.core.signals import setting_changed

from health.board.announce import announce
from health.board.health_map import BackendHealthMap
from health.board.stores.base import Store
from health.board.stores.file import FileStore
from health.board.stores.memory import MemoryStore
from health.conf import CACHE_PREFIX, FILE, conf

__all__ = ["BOARD", "BackendHealthMap"]


@functools.cache
def _configured_store() -> Store:
    """Return the store that the settings name."""
    if conf.health_store != FILE:
        from health.board.mirror import Mirror
        from health.board.stores.cache import CacheStore

        show = None if conf.run_dir is None else Mirror(conf.run_dir).show
        return CacheStore(conf.health_store.removeprefix(CACHE_PREFIX), show)
    if conf.run_dir is None:
        return MemoryStore()
    return FileStore(conf.run_dir)


def forget() -> None:
    """Look anew for the store that the settings name, when it is needed next."""
    _configured_store.cache_clear()


def _forget(*, setting: str, **_: object) -> None:
    if setting in {"SENTINEL_RUN_DIR", "SENTINEL_SERVICE", "SENTINEL_HEALTH_STORE", "CACHES"}:
        forget()


setting_changed.connect(_forget)


BOARD = BackendHealthMap(_configured_store, announce=announce)
"""The board of the service: in the run directory, or in a cache."""
