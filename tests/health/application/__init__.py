"""Tests of health.application."""
