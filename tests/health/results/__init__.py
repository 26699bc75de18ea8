"""Tests of the results of probes."""
