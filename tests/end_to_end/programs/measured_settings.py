"""Settings of the sample project with views that end in every way."""

from __future__ import annotations

import os

from sentinel_project.settings import *  # noqa: F403
from sentinel_project.settings import VAR_DIR

ROOT_URLCONF = "tests.end_to_end.programs.measured_urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": VAR_DIR / "measured"}}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["MEASURED_REDIS"],
    }
}
