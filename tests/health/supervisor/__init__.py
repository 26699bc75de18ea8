"""Tests of health.supervisor."""
