"""The sample project's settings; on the peer's side django-prometheus answers /metrics."""

import os

from sentinel_project.settings import *  # noqa: F403

LOGGING = {}
if os.environ["SENTINEL_BENCH_SIDE"] == "peer":
    ROOT_URLCONF = "django_prometheus.urls"
    INSTALLED_APPS = [name for name in INSTALLED_APPS if name not in ("metrics", "health")]  # noqa: F405
    MIDDLEWARE = [
        "django.middleware.gzip.GZipMiddleware",  # django-prometheus' view never compresses
        *(name for name in MIDDLEWARE if not name.startswith(("metrics.", "health."))),  # noqa: F405
    ]
