"""Tests of metrics.scraping."""
