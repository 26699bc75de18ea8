"""Settings of the shop; its release is in the file ``release`` of the project's folder."""

import os
from pathlib import Path

SECRET_KEY = "a key for tests only"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["metrics", "health"]
MIDDLEWARE = ["health.middleware.HealthMiddleware", "metrics.middleware.MetricsMiddleware"]
ROOT_URLCONF = "health.urls"
SENTINEL_BACKENDS = {"fine": {"PROBE": "tests.support.probes.always_well"}}
SENTINEL_SERVICE = os.environ.get("SENTINEL_SERVICE", "")
SENTINEL_DRAIN_SECONDS = float(os.environ.get("SENTINEL_DRAIN_SECONDS", "0"))
RELEASE = (Path(__file__).parent.parent / "release").read_text()
