"""The text of each part of a scrape that was prepared last, by format."""

from __future__ import annotations

import os
import threading
from typing import Any

from metrics.exposition import Format, Template, template
from metrics.samples import Layout


class _Templates:
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
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    def get(
        self,
        part: str,
        layout: Layout,
        fmt: Format,
        *,
        names: frozenset[str] | None,
        **options: Any,
    ) -> Template:
        """Return the template of ``layout`` with these options of `template`."""
        kept, limit = self._whole, self.WHOLE
        if names is not None:
            kept, limit = self._filtered, self.FILTERED
        key = (part, fmt, names, *sorted(options.items()))
        with self._lock:
            known = kept.pop(key, None)
            if known is None or known[0] is not layout:
                known = layout, template(layout.families, fmt, names=names, **options)
            kept[key] = known
            if len(kept) > limit:
                del kept[next(iter(kept))]
        return known[1]
