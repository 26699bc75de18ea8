"""Programs that tests of whole processes run."""
