"""Programs that tests of probes run."""
