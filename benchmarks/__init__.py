"""Benchmarks side by side with the peers; ``python -m benchmarks`` runs them."""
