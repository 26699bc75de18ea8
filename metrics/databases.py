"""Databases beside the connections of requests: one's own, and whose tables are where."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from django.apps import apps
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

DUMMY_ENGINE = "django.db.backends.dummy"
"""What Django takes for a database without ENGINE: each use of it raises an error."""

LIBPQ_DRIVERS = ("psycopg", "psycopg2")
"""Drivers that take libpq's options; an engine that calls itself PostgreSQL may have another."""


def own_connection(alias: str, timeout: float) -> BaseDatabaseWrapper:
    """Return a connection to ``alias`` that is nobody else's; it is opened by its first use.

    Neither a pool of the settings nor a transaction left open is behind it. On
    PostgreSQL a server that is gone without a word ends it after about ``timeout``
    seconds, unless the settings' OPTIONS say otherwise: the thread of a check that
    was given up does not hang for the hours that the system would wait.
    """
    connection = connections.create_connection(alias)
    options = {k: v for k, v in connection.settings_dict["OPTIONS"].items() if k != "pool"}
    driver = getattr(connection, "Database", None)
    if connection.vendor == "postgresql" and getattr(driver, "__name__", "") in LIBPQ_DRIVERS:
        seconds = max(2, math.ceil(timeout))  # libpq takes one for two
        options = {
            "connect_timeout": seconds,
            "keepalives_idle": seconds,
            "keepalives_interval": seconds,
            "keepalives_count": 2,
            "tcp_user_timeout": seconds * 1000,
            **options,
        }
    connection.settings_dict = {
        **connection.settings_dict,
        "OPTIONS": options,
        "AUTOCOMMIT": True,
    }
    return connection


@contextmanager
def fresh_connection(alias: str, timeout: float) -> Iterator[BaseDatabaseWrapper]:
    """Open a connection of one's own to ``alias``, and close it whatever happens."""
    connection = own_connection(alias, timeout)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def in_place(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let this thread find ``connection`` under its alias, where the ORM looks for it."""
    alias = connection.alias
    before = [c for c in connections.all(initialized_only=True) if c.alias == alias]
    connections[alias] = connection
    try:
        yield
    finally:
        del connections[alias]
        for other in before:
            connections[alias] = other


def belongs(app_label: str, alias: str) -> bool:
    """Whether the routers let any model of the app into ``alias``, or the app if it has none."""
    models = list(apps.get_app_config(app_label).get_models(include_auto_created=True))
    if not models:
        return bool(router.allow_migrate(alias, app_label))
    return any(router.allow_migrate_model(alias, model) for model in models)
