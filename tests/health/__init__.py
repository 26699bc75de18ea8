"""Tests of the health app, in its folders; what runs a whole server is in `tests.end_to_end`."""
