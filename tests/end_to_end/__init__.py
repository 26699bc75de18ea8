"""Tests of whole processes: gunicorn, the health server, Prometheus, uWSGI, systemd, HAProxy."""
