"""Our own collectors: which versions run, and what the system knows of each process."""
