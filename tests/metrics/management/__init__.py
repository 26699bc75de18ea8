"""Tests of metrics.management."""
