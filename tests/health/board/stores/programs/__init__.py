"""Programs that tests of stores run."""
