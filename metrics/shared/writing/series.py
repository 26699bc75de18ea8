"""The series of this process: its values by family and labels, and the cells they have.

A series gets its cell from the index. While the index cannot be asked it gets a
provisional one, a number that no lane has, so that it is counted in memory: it is
homeless. When there is an index again, or another one, all are numbered anew and their
counts move with them.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from metrics.shared.errors import RecordTooLargeError, TooManySeriesError
from metrics.shared.files.catalog import OVERFLOW, PROVISIONAL, FamilyKey, FamilyRecord, LabelValues
from metrics.shared.values import Value
from metrics.shared.writing.attachment import Attachment
from metrics.shared.writing.series_limit import is_limited

if TYPE_CHECKING:
    from metrics.shared.files.directory import Directory
    from metrics.shared.files.index import Appender

logger = logging.getLogger("metrics.shared")

SeriesKey = tuple[FamilyKey, LabelValues]

REMEMBERED_FOLDS = 10_000
"""Folded label sets that a process remembers, so as to count each once."""


class SeriesTable:
    """What one process counts. For one thread at a time; the store sees to it.

    ``max_series`` says how many label sets a family may hold; further ones fold into
    the overflow series. Values change their cells: before it numbers them anew, the caller
    stops all writes past the lock.
    """

    def __init__(self, hold: Attachment, max_series: Callable[[], int]) -> None:
        self.homeless = False
        self._hold = hold
        self._max_series = max_series
        self._help: dict[FamilyKey, str] = {}
        self._values: dict[SeriesKey, list[Value]] = {}
        self._folded: weakref.WeakKeyDictionary[Value, SeriesKey] = weakref.WeakKeyDictionary()
        self._overflow: weakref.WeakSet[Value] = weakref.WeakSet()
        self._first_folds: set[str] = set()
        self._counted_folds: set[int] = set()
        self._removed: weakref.WeakKeyDictionary[Value, SeriesKey] = weakref.WeakKeyDictionary()
        self._provisional: dict[str, int] = {}
        self._next_provisional = PROVISIONAL

    # --- values -----------------------------------------------------------------------

    def get(self, key: FamilyKey, labelvalues: LabelValues) -> list[Value] | None:
        """Return the values of a series, if this process has any."""
        return self._values.get((key, labelvalues))

    def add(self, key: FamilyKey, labelvalues: LabelValues, values: Sequence[Value]) -> None:
        """Keep values of a series; a histogram may be made twice by one process."""
        self._values.setdefault((key, labelvalues), []).extend(values)

    def add_folded(self, key: FamilyKey, overflow: LabelValues, values: Iterable[Value]) -> None:
        """Keep a histogram's values that count into the overflow series."""
        self._folded.update((value, (key, overflow)) for value in values)

    def mark_overflow(self, values: Iterable[Value]) -> None:
        """Note that these values are the overflow series'."""
        self._overflow.update(values)

    def is_folded(self, value: Value) -> bool:
        """Whether ``value`` is that of an overflow series."""
        return value in self._overflow or value in self._folded

    def remove(
        self, name: str, labelnames: LabelValues, goes: Callable[[LabelValues], bool]
    ) -> None:
        """Forget series of these families, though code that has a value may go on writing to it."""
        for series in list(self._values):
            key, labelvalues = series
            if (key.name, key.labelnames) == (name, labelnames) and goes(labelvalues):
                self._removed.update((value, series) for value in self._values.pop(series))

    def release(self, gone: Iterable[Value]) -> None:
        """Forget these values, though code that has one may go on writing to it."""
        ids = {id(value) for value in gone}
        for series, values in list(self._values.items()):
            if any(id(value) in ids for value in values):
                self._removed.update((value, series) for value in values if id(value) in ids)
                kept = [value for value in values if id(value) not in ids]
                if kept:
                    self._values[series] = kept
                else:
                    del self._values[series]

    def begin_in(self, cells: Sequence[float]) -> None:
        """Leave out of each value what a lane that was just taken holds of others."""
        for series, value in self._numbered():
            _leave_out(series, value, cells)

    def begin_anew(self) -> None:
        """Let all values begin at 0: in a forked child, what they held is the parent's."""
        for _series, value in self._numbered():
            if value._base:  # else its page of memory stays the parent's, too
                value._base = 0.0

    def homeless_families(self) -> list[FamilyRecord]:
        """Return the series that have provisional cells, by family."""
        if not self.homeless and all(cell < PROVISIONAL for cell in self._hold.memory):
            return []
        found: dict[FamilyKey, FamilyRecord] = {}
        for (key, labelvalues), values in list(self._values.items()):
            if values[0].cell >= PROVISIONAL:
                record = found.setdefault(key, FamilyRecord(-1, key, self._help[key]))
                record.series[labelvalues] = values[0].cell - values[0].offset
        return list(found.values())

    # --- cells ------------------------------------------------------------------------

    def note_help(self, key: FamilyKey, help_text: str) -> None:
        """Keep what a family's record in the index will say of it."""
        self._help.setdefault(key, help_text)

    def enter(
        self, files: Directory, key: FamilyKey, labelvalues: LabelValues
    ) -> tuple[int, LabelValues]:
        """Return a series' first cell, and the label values that it is kept under.

        Raises OSError, StoreError.
        """
        catalog = files.index.catalog
        if (cell := catalog.find(key, labelvalues)) is not None:
            return cell, labelvalues
        overflow = (OVERFLOW,) * len(labelvalues)
        if self._is_full(files, key) and (cell := catalog.find(key, overflow)) is not None:
            return cell, overflow
        with files.index.appending() as appender:  # which reads what others have entered
            is_first = catalog.find(key, overflow) is None
            cell, kept = self._cell_of(files, appender, key, labelvalues)
        if is_first and kept != labelvalues:
            self._first_folds.add(key.name)
        return cell, kept

    def enter_homeless(self, key: FamilyKey, labelvalues: LabelValues) -> tuple[int, LabelValues]:
        """Return the same for a series that the index cannot take now."""
        if known := self.get(key, labelvalues):
            return known[0].cell - known[0].offset, labelvalues
        made = self._provisional.get(key.name, 0)
        if is_limited(key) and made >= self._max_series():
            labelvalues = (OVERFLOW,) * len(labelvalues)
            if known := self.get(key, labelvalues):
                return known[0].cell - known[0].offset, labelvalues
            self._first_folds.add(key.name)
        self._provisional[key.name] = made + 1
        self.homeless = True
        return self._new_provisional(key), labelvalues

    def _new_provisional(self, key: FamilyKey) -> int:
        cell = self._next_provisional
        self._next_provisional += key.width
        return cell

    def _cell_of(
        self, files: Directory, appender: Appender, key: FamilyKey, labelvalues: LabelValues
    ) -> tuple[int, LabelValues]:
        """Return a series' first cell, and the label values that it is kept under.

        They are the overflow series' if the family is full or its own are too long.
        Raises OSError, RecordTooLargeError, TooManySeriesError.
        """
        overflow = (OVERFLOW,) * len(labelvalues)
        if self._is_full(files, key) and files.index.catalog.find(key, labelvalues) is None:
            labelvalues = overflow
        family = appender.family(key, self._help[key])
        try:
            return appender.series(family, labelvalues), labelvalues
        except RecordTooLargeError as e:
            self._hold.fail(e, pause=False)
            return appender.series(family, overflow), overflow

    def _is_full(self, files: Directory, key: FamilyKey) -> bool:
        return is_limited(key) and files.index.catalog.is_full(key.name, self._max_series())

    def note_folded(self, key: FamilyKey, labelvalues: LabelValues) -> bool:
        """Return whether this label set is to be counted as folded: if it is a new one.

        The first of a family is logged, if no other process has done so.
        """
        if key.name in self._first_folds:
            self._first_folds.discard(key.name)
            logger.warning(
                "A label set of the metric %s is counted under %r, and so will others be: it is"
                " too long, or there are %d already, the limit that SENTINEL_METRICS_MAX_SERIES"
                " sets.",
                full_name(key),
                OVERFLOW,
                self._max_series(),
            )
        known = hash((key.name, labelvalues))
        if known in self._counted_folds:
            return False
        if len(self._counted_folds) >= REMEMBERED_FOLDS:
            self._counted_folds.clear()
        self._counted_folds.add(known)
        return True

    # --- other cells ------------------------------------------------------------------

    @property
    def has_values(self) -> bool:
        """Whether this process counts anything."""
        return bool(self._values or self._folded or self._removed)

    def cells(self) -> set[int]:
        """Return all cells that this process writes to."""
        return {value.cell + i for series, value in self._numbered() for i in range(_width(series))}

    def renumber(self, files: Directory) -> None:
        """Give every series the cell it has in the index now, and take its values along.

        Raises OSError, StoreError; then all is as it was.
        """
        numbered = list(self._numbered())
        firsts: dict[SeriesKey, int] = {}
        self.homeless = False  # anew, if a signal handler makes a series meanwhile
        try:
            with files.index.appending() as appender:
                for series, _value in numbered:
                    if series not in firsts:
                        with suppress(RecordTooLargeError, TooManySeriesError):
                            firsts[series] = self._cell_of(files, appender, *series)[0]
        except BaseException:
            self.homeless = True
            raise
        self._provisional.clear()
        self._move((series, value, firsts.get(series)) for series, value in numbered)

    def make_homeless(self) -> None:
        """Give every series a provisional cell: those it has mean nothing in this index."""
        self.homeless = True
        firsts: dict[SeriesKey, int] = {}
        numbered = list(self._numbered())
        for series, value in numbered:
            if series not in firsts:
                first = value.cell - value.offset
                firsts[series] = first if first >= PROVISIONAL else self._new_provisional(series[0])
        self._move((series, value, firsts[series]) for series, value in numbered)

    def _numbered(self) -> Iterator[tuple[SeriesKey, Value]]:
        """Yield all values that there are, each with its series."""
        for series, values in list(self._values.items()):  # a signal handler may make one
            for value in values:
                yield series, value
        for value, series in [*self._folded.items(), *self._removed.items()]:
            yield series, value

    def _move(self, wanted: Iterable[tuple[SeriesKey, Value, int | None]]) -> None:
        moves: dict[int, int] = {}
        moved: list[tuple[SeriesKey, Value]] = []
        for series, value, first in wanted:
            if first is not None and value.cell != first + value.offset:
                for place in range(_width(series)):
                    moves[value.cell + place] = first + value.offset + place
                value.cell = first + value.offset
                moved.append((series, value))
        self._hold.move(moves)
        if (lane := self._hold.lane) is not None:
            for series, value in moved:
                _leave_out(series, value, lane.cells)


def full_name(key: FamilyKey) -> str:
    """Return a family's name as the text format has it."""
    return f"{key.name}_total" if key.type == "counter" else key.name


def _leave_out(series: SeriesKey, value: Value, cells: Sequence[float]) -> None:
    """Let a value be without what its new cell holds already: others counted that."""
    if series[0].type != "gauge" and value.cell < len(cells) and (held := cells[value.cell]):
        value._base += held


def _width(series: SeriesKey) -> int:
    """Return how many cells a process writes to at each value: a gauge's moment is one."""
    return 2 if series[0].type == "gauge" else 1
