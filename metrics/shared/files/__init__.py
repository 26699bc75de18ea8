"""The store's files: the index and what it says, the lanes, exemplars, the claim file."""
