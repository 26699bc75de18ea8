"""The shop under WSGI; each process that loads it counts itself under its release."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from prometheus_client import Counter

application = get_wsgi_application()
Counter("starts", "Workers that began", ["release"]).labels(
    getattr(settings, "RELEASE", "none")
).inc()
