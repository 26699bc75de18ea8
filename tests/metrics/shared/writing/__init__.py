"""Tests of metrics.shared.writing."""
