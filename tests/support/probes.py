"""Probes for tests, and what one check of a probe says."""

from __future__ import annotations


def always_well() -> None:
    """Be a backend that is always well."""
