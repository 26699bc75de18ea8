"""Tests of the metrics app, in its folders; what runs a whole server is in `tests.end_to_end`."""
