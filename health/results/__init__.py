"""The results of probes one by one, for the admin's pages: `ring` writes and reads them."""
