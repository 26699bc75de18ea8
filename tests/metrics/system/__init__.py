"""Tests of metrics.system."""
