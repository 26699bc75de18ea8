"""Whether this service is ready: `assessment.current` and `assess`, and the drain of this host.

It reads the board and the drain mark: microseconds, and nothing is sent to a backend.
"""
