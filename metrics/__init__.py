"""Prometheus metrics for Django that stay right and cheap with many workers."""
