"""Tests of health.probes."""
