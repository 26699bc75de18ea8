"""Settings of the sample project, each from an environment variable of the same name."""

from __future__ import annotations

import json
import logging
import os
import secrets
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("SENTINEL_VAR_DIR", BASE_DIR / "var"))
"""What the sample project writes: the SQLite file, collected static files, its key."""


def _text(name: str, default: str) -> str:
    """Return a variable's text; one that is empty counts as not set."""
    return os.environ.get(name, "").strip() or default


def _flag(name: str, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value in ("", "1", "true", "yes", "on"):
        return default if value == "" else True
    if value in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"{name} must be 1 or 0 (or true/false, yes/no, on/off), not {value!r}")


def _number(name: str, default: float, kind: type[int | float] = float) -> Any:
    """Return a number, or a text that is none as it is: a system check says what is wrong."""
    text = _text(name, str(default))
    try:
        return kind(text)
    except ValueError:
        return text


def _json(name: str) -> Any:
    """Return what a variable says in JSON; None if it is not set."""
    try:
        return json.loads(_text(name, "null"))
    except ValueError as e:
        raise ValueError(f"{name} must be JSON: {e}") from e


def _log_level(name: str) -> str:
    level = _text(name, "INFO").upper()
    known = logging.getLevelNamesMapping()
    if level not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {level!r}")
    return level


def _secret_key() -> str:
    """Return the key from the environment, or one made once and kept in VAR_DIR."""
    if key := os.environ.get("SENTINEL_SECRET_KEY"):
        return key
    path = VAR_DIR / "secret-key"
    if not path.exists():
        VAR_DIR.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"secret-key.{os.getpid()}")
        beside.touch(mode=0o600)
        beside.write_text(secrets.token_urlsafe(50))
        try:
            os.link(beside, path)  # the first one wins, and no process reads half a key
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    return path.read_text()


SECRET_KEY = _secret_key()
DEBUG = _flag("SENTINEL_DEBUG", False)
ALLOWED_HOSTS = os.environ.get("SENTINEL_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "metrics",  # first: it puts the shared store in place before others make metrics
    "health",
    "django_prometheus",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "health.middleware.HealthMiddleware",  # first: nothing may come between a probe and its answer
    "metrics.middleware.MetricsMiddleware",
    "metrics.activity.ActivityMiddleware",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "sentinel_project.urls"
WSGI_APPLICATION = "sentinel_project.wsgi.application"

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

DATABASES: dict[str, Any] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SENTINEL_DATABASE", VAR_DIR / "db.sqlite3"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    }
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": _log_level("SENTINEL_LOG_LEVEL")},
}

# --- Sentinel -----------------------------------------------------------------------

SENTINEL_RUN_DIR = os.environ.get("SENTINEL_RUN_DIR", "auto") or None
SENTINEL_SERVICE = _text("SENTINEL_SERVICE", "")
SENTINEL_METRICS_ENABLED = _flag("SENTINEL_METRICS_ENABLED", True)
SENTINEL_HISTORY = _flag("SENTINEL_HISTORY", True)
SENTINEL_METRICS_MAX_SERIES = _number("SENTINEL_METRICS_MAX_SERIES", 10_000, int)
SENTINEL_LABELS = _json("SENTINEL_LABELS") or {}
SENTINEL_METRICS_ACCESS = _json("SENTINEL_METRICS_ACCESS")
SENTINEL_PATHS = _json("SENTINEL_PATHS") or {}
if (instruments := _json("SENTINEL_INSTRUMENT")) is not None:
    SENTINEL_INSTRUMENT = instruments
SENTINEL_BUCKETS = _json("SENTINEL_BUCKETS") or {}
SENTINEL_OBJECTIVES = _json("SENTINEL_OBJECTIVES") or {}
SENTINEL_REQUESTS_NOT_MEASURED = _json("SENTINEL_REQUESTS_NOT_MEASURED") or {}
SENTINEL_HTTP_CLIENT_HOSTS = _json("SENTINEL_HTTP_CLIENT_HOSTS")
DEMO = _flag("SENTINEL_DEMO", False)

# --- Sentinel: health ---------------------------------------------------------------

SENTINEL_BACKENDS = _json("SENTINEL_BACKENDS")
if SENTINEL_BACKENDS is None:
    SENTINEL_BACKENDS = {"default": {"PROBE": "health.probes.DatabaseProbe", "SCOPE": "shared"}}
SENTINEL_READINESS = _text("SENTINEL_READINESS", "any")
SENTINEL_SHARED_FAILURE = _text("SENTINEL_SHARED_FAILURE", "not_ready")
SENTINEL_HEALTH_STORE = _text("SENTINEL_HEALTH_STORE", "file")
SENTINEL_HEALTH_DETAILS = _json("SENTINEL_HEALTH_DETAILS")
SENTINEL_TRANSITION_DAYS = _number("SENTINEL_TRANSITION_DAYS", 30)
SENTINEL_WEBHOOK = _json("SENTINEL_WEBHOOK")
SENTINEL_DRAIN_SECONDS = _number("SENTINEL_DRAIN_SECONDS", 5)

# --- Sentinel: processes ------------------------------------------------------------

SENTINEL_APPLICATION_KINDS = _json("SENTINEL_APPLICATION_KINDS")
SENTINEL_STUCK_SECONDS = _number("SENTINEL_STUCK_SECONDS", 300) or None  # 0: never
SENTINEL_HEALTH_URLCONF = _text("SENTINEL_HEALTH_URLCONF", "sentinel_project.health_urls")
