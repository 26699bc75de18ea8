"""Django's connections in threads that serve no request.

Django closes the connections of a thread before and after each request. In any other
thread that is the thread's own duty: a connection that is kept fails for ever once its
server was restarted, and one of a pool is missing there.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from django.core.cache import caches
from django.db import connections

logger = logging.getLogger(__name__)


def close_connections() -> None:
    """Close this thread's connections to databases and caches, and forget those to databases.

    A pool gets its connection back. A transaction that was left open is rolled back by
    the server, and the next connection knows nothing of it. What cannot be closed is
    logged: never raises an Exception.
    """
    for connection in connections.all(initialized_only=True):
        try:
            connection.close()
        except Exception as e:  # noqa: BLE001 - a driver raises what it likes
            logger.info("the connection to %s could not be closed: %s", connection.alias, e)
        finally:
            del connections[connection.alias]
    for cache in caches.all(initialized_only=True):
        try:
            cache.close()
        except Exception as e:  # noqa: BLE001 - a cache raises what it likes
            logger.info("the connection of a cache could not be closed: %s", e)


@contextlib.contextmanager
def scoped_connections() -> Iterator[None]:
    """Let a block begin with no connection of this thread open, and end so, whatever happens."""
    close_connections()
    try:
        yield
    finally:
        close_connections()
