"""Tests of health.readiness."""
