"""Tests of metrics.shared.files."""
