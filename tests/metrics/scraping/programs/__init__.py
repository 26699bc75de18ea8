"""Programs that tests of scrapes run; each function is called in a process of its own."""
