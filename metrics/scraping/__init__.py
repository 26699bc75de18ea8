"""Answering a scrape: `scraper.render` and `scraper.families`, for views, commands and pages."""
