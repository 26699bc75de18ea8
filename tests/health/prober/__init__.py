"""Tests of health.prober."""
