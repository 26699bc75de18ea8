"""Tests of what is measured without code, and of tool calls."""
