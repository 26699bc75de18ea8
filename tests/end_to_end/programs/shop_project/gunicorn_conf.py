"""Gunicorn's settings for the shop."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

from health.gunicorn import *  # noqa: F403 - the hooks
