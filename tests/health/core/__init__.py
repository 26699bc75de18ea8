"""Tests of health.core."""
