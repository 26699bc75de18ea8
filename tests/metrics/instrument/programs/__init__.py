"""Programs that tests of instruments run."""
