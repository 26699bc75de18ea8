"""Tests of metrics.shared.reading."""
