"""A service that came from django-prometheus: prints the samples of its families as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
        "nowhere": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/db"},
    },
    INSTALLED_APPS=["metrics"],
    MIDDLEWARE=[
        "metrics.middleware.MetricsMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    PROMETHEUS_METRIC_NAMESPACE=sys.argv[1],
    PROMETHEUS_LATENCY_BUCKETS=(0.5, 1000),
    ROOT_URLCONF="tests.metrics.instrument.site",
    SENTINEL_INSTRUMENT=["requests", "database", "cache", "django_prometheus"],
    SENTINEL_RUN_DIR=None,
)
django.setup()
logging.disable()

from django.core.cache import cache  # noqa: E402 - the apps are ready by then
from django.db import DatabaseError, connection, connections  # noqa: E402
from django.test import AsyncClient, Client  # noqa: E402

from metrics.instrument.django_prometheus import install  # noqa: E402
from metrics.scraping.scraper import SCRAPER  # noqa: E402

install()  # once more changes nothing
client = Client(raise_request_exception=False)
client.get("/items/1/")
client.get("/items/2/", headers={"x-requested-with": "XMLHttpRequest"})
client.post("/items/3/", b"x" * 100, content_type="text/plain", secure=True)
client.generic("BREW", "/items/4/")
client.get("/nowhere")
client.get("/broken", headers={"content-length": "-5"})
client.get("/missing", headers={"content-length": "9" * 400})
b"".join(client.get("/stream"))
asyncio.run(AsyncClient().get("/async"))

# A new connection, opened inside a wrapper's block: what comes after that counts too.
del connections["default"]
with connection.execute_wrapper(lambda execute, *query: execute(*query)):
    connection.cursor().execute("CREATE TABLE t (a integer)")
with connection.cursor() as cursor:
    cursor.executemany("INSERT INTO t VALUES (%s)", [(1,), (2,), (3,)])
    with contextlib.suppress(DatabaseError):
        cursor.execute("nonsense")
with contextlib.suppress(DatabaseError):
    connections["nowhere"].ensure_connection()

cache.set("there", 1)
cache.set("nothing", None)
cache.get("there", version=None)
cache.get("nothing")  # a miss, as there
cache.get("nothing", default=2)
cache.get("not there", "default")

found = {}
for figures in SCRAPER.read().families:
    for key, value in figures.samples:
        if "django_" in key.name and value:
            labels = ",".join(f"{name}={text}" for name, text in sorted(key.labels))
            found[f"{key.name}{{{labels}}}"] = value
print(json.dumps(found))
