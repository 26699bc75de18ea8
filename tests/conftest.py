"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("search")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
"""The verdict on a commit is the same each time; HYPOTHESIS_PROFILE=search looks further."""
