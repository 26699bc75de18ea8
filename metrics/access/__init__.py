"""Who may scrape: `rules.Access` is asked, `validation.problems` says what a setting lacks."""
