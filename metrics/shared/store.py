"""The store of one process: its values, and the slow path of their writes.

The fast path is in `metrics.shared.values`: a write through ``cells``. While this
process has no lane that has room for all its series, ``cells`` is empty, every write
ends in an IndexError there, and comes here: the slow path takes a lane, makes it
longer, or counts in memory until that can be done.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from prometheus_client.samples import Exemplar

from metrics.shared.attachment import Attachment
from metrics.shared.catalog import OVERFLOW, PROVISIONAL, FamilyKey, FamilyRecord, LabelValues
from metrics.shared.directory import Directory
from metrics.shared.errors import RecordTooLargeError, ReplacedError, TooManySeriesError
from metrics.shared.index import Appender
from metrics.shared.lanes import Worker
from metrics.shared.limits import DROPPED, is_exempt
from metrics.shared.model import Layout, Snapshot
from metrics.shared.reader import OwnMemory, Reader
from metrics.shared.values import GaugeValue, Value

logger = logging.getLogger("metrics.shared")

EMPTY = memoryview(bytearray()).cast("d")

UNREADABLE = Snapshot(Layout(()), (), left_out=("the shared store: see the log",))
"""What a read gives that could not be done at all."""

SeriesKey = tuple[FamilyKey, LabelValues]
T = TypeVar("T")

_DROPPED_HELP = (
    "Label sets that were folded into an overflow series, by family; each process counts one once"
)
_REMEMBERED = 10_000
"""Folded label sets that a process remembers, so as to count each once."""


class Store:
    """All values of this process, shared through ``directory``.

    ``kind`` says what the process is, asked when it takes a lane; ``max_series`` how
    many label sets a family may hold; ``strict`` is that of `rundir.ensure_private`.
    Nothing here raises into a caller that records, whatever happens to the directory.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        kind: Callable[[], str] = str,
        max_series: Callable[[], int] = lambda: 10_000,
        strict: bool = False,
    ) -> None:
        self.directory = os.fspath(directory)
        self.cells = EMPTY
        self._max_series = max_series
        self._hold = Attachment(self.directory, kind, strict)
        self.activity = self._hold.activity
        self._reader = Reader()
        self._help: dict[FamilyKey, str] = {}
        self._values: dict[SeriesKey, list[Value]] = {}
        self._folded: weakref.WeakKeyDictionary[Value, SeriesKey] = weakref.WeakKeyDictionary()
        self._overflow: weakref.WeakSet[Value] = weakref.WeakSet()
        self._first_folds: set[str] = set()
        self._dropped: set[int] = set()
        self._removed: weakref.WeakKeyDictionary[Value, SeriesKey] = weakref.WeakKeyDictionary()
        self._provisional: dict[str, int] = {}
        self._next_provisional = PROVISIONAL
        self._homeless = False
        self._lock = threading.RLock()
        self._busy = False
        self._pending: list[tuple[Value, float, float, bool]] = []
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._after_fork_in_parent,
            after_in_child=self._after_fork_in_child,
        )
        atexit.register(self.flush)

    # --- the slow path of a write -----------------------------------------------------

    def slow_add(self, value: Value, amount: float, when: float = 0.0) -> None:
        """Add to a value whose cell the lane does not cover yet."""
        self._write(value, amount, when, absolute=False)

    def slow_set(self, value: Value, amount: float, when: float = 0.0) -> None:
        """Set a value whose cell the lane does not cover yet."""
        self._write(value, amount, when, absolute=True)

    def slow_get(self, value: Value) -> float:
        """Return this process's share of a value whose cell the lane does not cover."""
        return self._hold.get(value._cell)

    def _write(self, value: Value, amount: float, when: float, absolute: bool) -> None:
        with self._alone():
            self._pending.append((value, amount, when, absolute))
            if self._busy:  # in a signal handler or a finaliser, inside one of ours
                return
            with self._working():
                self._get_ready()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads off, and log what happened when they are let in again."""
        try:
            with self._lock:
                yield
        finally:
            self._hold.log()

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Keep off signal handlers and finalisers of this thread, and do their writes after.

        A fault is counted and logged, and goes no further. The lock is held.
        """
        self._busy = True
        try:
            yield
        except Exception as e:  # noqa: BLE001 - whatever it is, the request goes on
            self.cells = EMPTY
            self._hold.fail(e)
        finally:
            while self._pending:
                value, amount, when, absolute = self._pending.pop(0)
                self._hold.apply(value._cell, amount, when, absolute)
            self._busy = False

    def _get_ready(self) -> None:
        """Bring the fast path back, unless that was tried just now. Raises."""
        if self._hold.may_try:
            self._twice(self._take_lane)

    def _twice(self, work: Callable[[], T]) -> T:
        """Return what ``work`` gives, tried again if the index was replaced meanwhile."""
        try:
            return work()
        except ReplacedError:
            return work()

    def _take_lane(self) -> None:
        files = self._open()
        if self._homeless:
            self._renumber(files)
        lane = self._hold.claim(files)
        lane.grow(files.index.catalog.next_cell)
        self._hold.store_memory(lane)
        self.cells = EMPTY if self._homeless else lane.cells
        self._hold.recovered()

    def _open(self, *, look_at_lane: bool = True) -> Directory:
        """Return the open directory, this process's series having their cells in it.

        ``look_at_lane`` asks whether the lane's file is there, too. Raises OSError, StoreError.
        """
        files, is_new = self._hold.open()
        if is_new or (look_at_lane and self._hold.lane_is_lost):
            self.cells = EMPTY
            numbered = self._numbered()
            cells = {value._cell + i for key, value in numbered for i in range(_width(key))}
            self._hold.leave_lost_lane(cells)
            if is_new and numbered:
                try:
                    self._renumber(files)
                except BaseException:
                    self._make_homeless()
                    raise
        return files

    def _numbered(self) -> list[tuple[SeriesKey, Value]]:
        """Return all values that there are, each with its series."""
        found = [(key, value) for key, values in self._values.items() for value in values]
        found += [(key, value) for value, key in [*self._folded.items(), *self._removed.items()]]
        return found

    def _renumber(self, files: Directory) -> None:
        """Give every series the cell it has in the index now, and take its values along.

        Raises OSError, StoreError; then all is as it was.
        """
        numbered = self._numbered()
        firsts: dict[SeriesKey, int] = {}
        self._homeless = False  # anew, if a signal handler makes a series meanwhile
        try:
            with files.index.appending() as appender:
                for series, _value in numbered:
                    if series not in firsts:
                        with suppress(RecordTooLargeError, TooManySeriesError):
                            firsts[series] = self._cell_of(files, appender, *series)[0]
        except BaseException:
            self._homeless = True
            raise
        self._provisional.clear()
        self.cells = EMPTY
        self._move((series, value, firsts.get(series)) for series, value in numbered)

    def _make_homeless(self) -> None:
        """Give every series a provisional cell: those it has mean nothing in this index."""
        self._homeless = True
        firsts: dict[SeriesKey, int] = {}
        numbered = self._numbered()
        for series, value in numbered:
            if series not in firsts:
                first = value._cell - value.offset
                firsts[series] = first if first >= PROVISIONAL else self._new_provisional(series[0])
        self.cells = EMPTY
        self._move((series, value, firsts[series]) for series, value in numbered)

    def _move(self, wanted: Iterable[tuple[SeriesKey, Value, int | None]]) -> None:
        moves: dict[int, int] = {}
        for series, value, first in wanted:
            if first is not None and value._cell != first + value.offset:
                for place in range(_width(series)):
                    moves[value._cell + place] = first + value.offset + place
                value._cell = first + value.offset
        self._hold.move(moves)

    def _new_provisional(self, key: FamilyKey) -> int:
        cell = self._next_provisional
        self._next_provisional += key.width
        return cell

    # --- series -----------------------------------------------------------------------

    def series(self, key: FamilyKey, labelvalues: LabelValues, help_text: str) -> list[Value]:
        """Return this process's values of a series, one a cell that is written to.

        A label set beyond the family's limit gets those of the overflow series.
        """
        with self._alone():
            if known := self._values.get((key, labelvalues)):
                return known
            cell, kept = self._enter(key, labelvalues, help_text)
            values = self._values.get((key, kept))
            if values is None:
                if key.type == "gauge":
                    values = [GaugeValue(self, cell, 0)]
                else:
                    values = [Value(self, cell + place, place) for place in range(key.width)]
                self._values[key, kept] = values
        if kept != labelvalues:
            self._overflow.update(values)
            self._note_folded(key, labelvalues)
        return values

    def adopt(
        self,
        key: FamilyKey,
        labelvalues: LabelValues,
        help_text: str,
        values: Sequence[Value],
    ) -> None:
        """Give cells to values that exist already, whose ``offset`` is their place.

        For a histogram, whose buckets are not known before the last is made.
        """
        with self._alone():
            cell, kept = self._enter(key, labelvalues, help_text)
            for value in values:
                value._cell = cell + value.offset
            if kept == labelvalues:
                self._values.setdefault((key, kept), []).extend(values)
            else:
                self._folded.update((value, (key, kept)) for value in values)
        if kept != labelvalues:
            self._note_folded(key, labelvalues)

    def is_folded(self, value: Value) -> bool:
        """Whether ``value`` is that of an overflow series."""
        return value in self._overflow or value in self._folded

    def _enter(
        self, key: FamilyKey, labelvalues: LabelValues, help_text: str
    ) -> tuple[int, LabelValues]:
        """Return a series' first cell, and the label values that it is kept under.

        A series that the index cannot take now gets a number of its own meanwhile.
        """
        self._help.setdefault(key, help_text)
        if not self._busy and self._hold.may_try:
            with self._working():
                return self._twice(lambda: self._enter_in_index(key, labelvalues))
        if known := self._values.get((key, labelvalues)):
            return known[0]._cell - known[0].offset, labelvalues
        made = self._provisional.get(key.name, 0)
        if key.labelnames and not is_exempt(key.name) and made >= self._max_series():
            labelvalues = (OVERFLOW,) * len(labelvalues)
            if known := self._values.get((key, labelvalues)):
                return known[0]._cell - known[0].offset, labelvalues
            self._first_folds.add(key.name)
        self._provisional[key.name] = made + 1
        self._homeless = True
        self.cells = EMPTY  # so that the next write tries to give it a cell
        return self._new_provisional(key), labelvalues

    def _enter_in_index(self, key: FamilyKey, labelvalues: LabelValues) -> tuple[int, LabelValues]:
        files = self._open(look_at_lane=False)  # which a scrape does; this must be quick
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
        if self._hold.lane is not None and len(self.cells):
            self._hold.lane.grow(catalog.next_cell)
            self.cells = self._hold.lane.cells
        return cell, kept

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
        limited = bool(key.labelnames) and not is_exempt(key.name)
        return limited and files.index.catalog.is_full(key.name, self._max_series())

    def _note_folded(self, key: FamilyKey, labelvalues: LabelValues) -> None:
        name = f"{key.name}_total" if key.type == "counter" else key.name
        if key.name in self._first_folds:  # else another process has said so
            self._first_folds.discard(key.name)
            logger.warning(
                "A label set of the metric %s is counted under %r, and so will others be: it is"
                " too long, or there are %d already, the limit that SENTINEL_METRICS_MAX_SERIES"
                " sets.",
                name,
                OVERFLOW,
                self._max_series(),
            )
        known = hash((key.name, labelvalues))
        if known in self._dropped:
            return
        if len(self._dropped) >= _REMEMBERED:
            self._dropped.clear()
        self._dropped.add(known)
        dropped = FamilyKey(DROPPED, "counter", "", ("family",), ())
        self.series(dropped, (name,), _DROPPED_HELP)[0].inc(1)

    def remove(self, name: str, labelnames: Sequence[str], wanted: Mapping[str, str]) -> None:
        """Take series out of every scrape until somebody writes to them again.

        They are those of the families with this name and these label names whose
        labels are as ``wanted`` says, whichever process made them.
        """
        names = tuple(labelnames)
        places = {names.index(label): value for label, value in wanted.items()}

        def goes(labelvalues: LabelValues) -> bool:
            return all(labelvalues[place] == value for place, value in places.items())

        def forget() -> None:
            files = self._open()
            files.index.refresh()
            for family in list(files.index.catalog.by_key.values()):
                if (family.key.name, family.key.labelnames) == (name, names):
                    going = [labels for labels in family.series if goes(labels)]
                    self._reader.forget_series(self.directory, files, family, going)

        with self._alone():
            for series in list(self._values):
                key, labelvalues = series
                if (key.name, key.labelnames) == (name, names) and goes(labelvalues):
                    # Whoever has one of them may go on writing to it.
                    self._removed.update((value, series) for value in self._values.pop(series))
            if not self._busy:
                with self._working():
                    self._twice(forget)

    # --- exemplars --------------------------------------------------------------------

    def put_exemplar(self, value: Value, exemplar: Exemplar) -> None:
        """Keep the newest exemplar of a value in this process's lane."""
        with self._alone():
            if not self._busy and self._hold.lane is not None:
                with self._working():
                    if file := self._hold.open_exemplars():
                        file.put(value._cell, exemplar)

    def get_exemplar(self, value: Value) -> Exemplar | None:
        """Return the newest exemplar that this process's lane has."""
        file = self._hold.exemplars
        return file.newest.get(value._cell) if file else None

    # --- reading ----------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return what all processes have counted. Never raises.

        Takes no lane. Tries to bring back what has failed before.
        """
        with self._alone():
            self._tend()
            homeless: dict[FamilyKey, FamilyRecord] = {}
            waiting = self._homeless or any(cell >= PROVISIONAL for cell in self._hold.memory)
            for (key, labelvalues), values in self._values.items() if waiting else ():
                if values[0]._cell >= PROVISIONAL:
                    record = homeless.setdefault(key, FamilyRecord(-1, key, self._help[key]))
                    record.series[labelvalues] = values[0]._cell - values[0].offset
            hold = self._hold
            own = OwnMemory(hold.memory, list(homeless.values()), hold.unsaved_faults)
            read = UNREADABLE
            if not self._busy:  # else in a signal handler that came inside our own work
                with self._working():  # no series is to be entered while all are gone through
                    read = self._reader.snapshot(self.directory, hold.files, own)
            return read

    def workers(self) -> list[Worker]:
        """Return the processes of all lanes, the dead ones too. Never raises."""
        with self._alone():
            self._tend()
            found: list[Worker] = []
            if not self._busy:
                with self._working():
                    found = self._reader.workers(self.directory, self._hold.files)
            return found

    def _tend(self) -> None:
        if self._busy or not self._hold.may_try:
            return
        with self._working():
            had_lane = self._hold.lane is not None
            if had_lane or os.path.isdir(self.directory):
                self._twice(self._open)
            if self._hold.memory or self._homeless or (had_lane and self._hold.lane is None):
                self._get_ready()
            self._hold.tend()

    # --- life -------------------------------------------------------------------------

    def claim(self) -> None:
        """Take a lane now rather than at the first write, so that `workers` shows it."""
        with self._alone():
            if self._hold.lane is None and not self._busy:
                with self._working():
                    self._get_ready()

    def flush(self) -> None:
        """Try once more to store what others cannot see; called when Python exits."""
        with self._alone():
            if self._hold.memory or self._hold.is_astray:
                self._hold.try_at_once()
                self._tend()

    def _before_fork(self) -> None:
        self._lock.acquire()

    def _after_fork_in_parent(self) -> None:
        self._lock.release()

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        self._busy = False
        self._pending = []
        self.cells = EMPTY
        self._hold.after_fork_in_child()


def _width(series: SeriesKey) -> int:
    """Return how many cells a process writes to at each value: a gauge's moment is one."""
    return 2 if series[0].type == "gauge" else 1
