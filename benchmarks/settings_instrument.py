"""A project as ``startproject`` makes it, measured by ours, by the peer, or not at all."""

import os
from pathlib import Path

SIDE = os.environ["SENTINEL_BENCH_SIDE"]
FOLDER = Path(os.environ["SENTINEL_BENCH_FOLDER"])

SECRET_KEY = "for a benchmark only"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.urls_instrument"
WSGI_APPLICATION = "benchmarks.urls_instrument.application"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
]
STANDARD = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
LOCAL = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "a"}
DATABASES = {"default": SQLITE, "measured": SQLITE}
CACHES = {"default": LOCAL, "measured": LOCAL}
USE_TZ = True

BEFORE: list[str] = []
AFTER: list[str] = []
"""The middlewares that measure, around the others."""

if SIDE == "ours":
    INSTALLED_APPS = ["metrics", *INSTALLED_APPS]
    BEFORE = ["metrics.middleware.MetricsMiddleware"]
    SENTINEL_RUN_DIR = FOLDER / "run"
elif SIDE == "peer":
    INSTALLED_APPS = ["django_prometheus", *INSTALLED_APPS]
    BEFORE = ["django_prometheus.middleware.PrometheusBeforeMiddleware"]
    AFTER = ["django_prometheus.middleware.PrometheusAfterMiddleware"]
    DATABASES["measured"] = SQLITE | {"ENGINE": "django_prometheus.db.backends.sqlite3"}
    CACHES["measured"] = LOCAL | {"BACKEND": "django_prometheus.cache.backends.locmem.LocMemCache"}
MIDDLEWARE = [*BEFORE, *STANDARD, *AFTER]
if SIDE != "none":
    DATABASES["default"] = DATABASES["measured"]
    CACHES["default"] = CACHES["measured"]
