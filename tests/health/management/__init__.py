"""Tests of health.management."""
