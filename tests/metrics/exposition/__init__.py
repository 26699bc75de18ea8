"""Tests of metrics.exposition."""
