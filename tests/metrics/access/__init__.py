"""Tests of metrics.access."""
