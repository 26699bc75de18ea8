"""System checks of the metrics app: one a setting, each under an id of its own."""

from __future__ import annotations
