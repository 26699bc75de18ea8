"""Prometheus metrics for Django that stay right and cheap with many workers."""

__version__ = "0.1.0"
