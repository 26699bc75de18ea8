"""A thin host for the metrics and health apps: settings, URLs and a sample gateway."""
