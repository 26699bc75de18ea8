"""Programs that tests of the machine run; each function is called in a process of its own."""
