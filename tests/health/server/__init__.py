"""Tests of health.server."""
