"""Tests of metrics.shared."""
