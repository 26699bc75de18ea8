"""What may be done to the index while its lock is held: entering families and series."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from metrics.shared.errors import TooManySeriesError
from metrics.shared.files.catalog import FamilyKey, FamilyRecord, LabelValues
from metrics.shared.files.index_records import FAMILY, MAX_CELLS, REMOVED, SERIES

if TYPE_CHECKING:
    from metrics.shared.files.index import Index


class Appender:
    """Given out by `Index.appending`, for as long as that lasts."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._catalog = index.catalog

    def family(self, key: FamilyKey, help_text: str) -> FamilyRecord:
        """Return the family, entering it if it is new. Raises OSError, RecordTooLargeError."""
        record = self._catalog.by_key.get(key)
        if record is None:
            self._index.append(FAMILY, 0, [*key, help_text])
            record = self._catalog.by_key[key]
        return record

    def series(self, family: FamilyRecord, labelvalues: LabelValues) -> int:
        """Return the first cell of a series, entering it if it is new or was removed.

        Raises OSError, RecordTooLargeError, TooManySeriesError.
        """
        cell = family.series.get(labelvalues)
        if cell is None or labelvalues in family.hidden:
            width = family.width
            if cell is None:
                cell = self._catalog.next_cell
                if cell + width > MAX_CELLS:
                    raise TooManySeriesError(f"all {MAX_CELLS} cells are taken")
                self._index.reserve_cells(cell + width)
            created = round(time.time(), 3)
            self._index.append(SERIES, cell, [family.offset, labelvalues, created], width)
        return cell

    def removed(
        self, family: FamilyRecord, labelvalues: LabelValues, baseline: list[float]
    ) -> None:
        """Enter that a series was removed. Raises OSError."""
        self._index.append(REMOVED, 0, [family.offset, labelvalues, baseline])
