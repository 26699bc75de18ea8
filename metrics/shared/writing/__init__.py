"""Writing to the store: a process's series, its hold on the directory, its activity."""
