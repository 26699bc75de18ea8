"""Make the commands' own log lines heard where the project's LOGGING has no place for them."""

from __future__ import annotations

import logging


def ensure_handler() -> None:
    """Send INFO and above of our loggers to stderr, if nobody has a handler for them.

    Django's default LOGGING has none, so a drain or a backend's change would go unseen.
    """
    for name in ("health", "metrics"):
        logger = logging.getLogger(name)
        if logger.hasHandlers():
            continue
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
