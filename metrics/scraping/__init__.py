"""Answering a scrape, for views, commands and pages.

Use `metrics.scraping.scraper.SCRAPER`, the service's own; ``Scraper(Gatherer(registry))`` shows
the metrics of one registry alone.
"""


def answer_scrapes() -> None:
    """Let the health server and ``dump_metrics`` ask this process for its own figures.

    For processes that serve the application without gunicorn's hooks or the activity
    middleware, after their fork. Never raises; without a shared store it does nothing.
    """
    from metrics.scraping.gatherer import GATHERER  # not where only a module beside it is needed

    GATHERER.answer_others()
