"""Tests of health.board."""
