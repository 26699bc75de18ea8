"""Settings of the sample project with an application that has figures of its own."""

from __future__ import annotations

from sentinel_project import settings
from sentinel_project.settings import *  # noqa: F403

INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.end_to_end.programs.own_figures_app.Config"]
ASGI_APPLICATION = "sentinel_project.asgi.application"
