"""The machine: the run directory, locks, processes. Nothing of Django or of Prometheus."""
