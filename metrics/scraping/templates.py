"""The text of each part of a scrape that was prepared last, by format."""

from __future__ import annotations

import threading
from typing import Any

from metrics.exposition import Format, Template, template
from metrics.samples import Labels, Layout
from metrics.scraping.options import Options
from metrics.system import forks


class Templates:
    """The templates that were used last: the text of each part of a scrape, by format.

    Of each there is the one of the newest layout. Filtered ones are kept apart, so that
    clients who ask for ever other names do not drive out what every scraper needs.
    """

    WHOLE = 30
    FILTERED = 15

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._whole: dict[object, tuple[Layout, Template]] = {}
        self._filtered: dict[object, tuple[Layout, Template]] = {}
        forks.after_in_child(self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    def get(
        self,
        part: str,
        layout: Layout,
        fmt: Format,
        options: Options,
        constant: Labels,
        **more: Any,
    ) -> Template:
        """Return the template of ``layout`` with these options, and ``more`` of `template`'s.

        ``constant`` are the labels that each sample gets.
        """
        kept, limit = self._whole, self.WHOLE
        if options.names is not None:
            kept, limit = self._filtered, self.FILTERED
        key = (part, fmt, options.names, options.created, constant, *sorted(more.items()))
        with self._lock:
            known = kept.pop(key, None)
            if known is None or known[0] is not layout:
                known = (
                    layout,
                    template(
                        layout.families,
                        fmt,
                        names=options.names,
                        created=options.created,
                        constant=constant,
                        **more,
                    ),
                )
            kept[key] = known
            if len(kept) > limit:
                del kept[next(iter(kept))]
        return known[1]
