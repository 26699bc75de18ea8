"""A project as ``startproject`` makes it, with one of four things to measure."""

import json
import os
from pathlib import Path

SIDE = os.environ["SENTINEL_BENCH_SIDE"]
FOLDER = Path(os.environ["SENTINEL_BENCH_FOLDER"])

SECRET_KEY = "for a benchmark only"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.urls_health"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": json.loads(os.environ["SENTINEL_BENCH_DATABASE"])}
USE_TZ = True
STATIC_URL = "static/"

if SIDE == "ours":
    INSTALLED_APPS = ["metrics", "health", *INSTALLED_APPS]
    MIDDLEWARE = ["health.middleware.HealthMiddleware", *MIDDLEWARE]
    SENTINEL_RUN_DIR = FOLDER / "run"
    SENTINEL_BACKENDS = {"default": {"PROBE": "health.probes.DatabaseProbe"}}
elif SIDE == "least":
    MIDDLEWARE = ["benchmarks.urls_health.LeastMiddleware", *MIDDLEWARE]
elif SIDE == "peer":
    INSTALLED_APPS = [*INSTALLED_APPS, "health_check"]
