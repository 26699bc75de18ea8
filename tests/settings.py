"""Settings of the tests: the sample project's, with everything inside the process."""

import tempfile
from pathlib import Path

from sentinel_project.settings import *  # noqa: F403

SECRET_KEY = "a key for tests only"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
STATIC_ROOT = Path(tempfile.gettempdir())
WHITENOISE_AUTOREFRESH = True  # or it reads the whole temporary directory at each start
SENTINEL_RUN_DIR = None
DEMO = True
SENTINEL_BACKENDS = {}
