"""Tests of health.election."""
