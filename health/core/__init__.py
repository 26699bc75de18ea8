"""What sentinel-health needs too: the standard library alone is imported below here."""
