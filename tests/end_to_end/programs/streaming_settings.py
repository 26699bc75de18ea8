"""Settings of the sample project with views that stream."""

from __future__ import annotations

from sentinel_project.settings import *  # noqa: F403

ROOT_URLCONF = "tests.end_to_end.programs.streaming_urls"
