"""The store of one process: its values, and the slow path of their writes.

The fast path is in `metrics.shared.values`: a write through ``cells``. While this
process has no lane that has room for all its series, ``cells`` is empty, every write
ends in an IndexError there, and comes here: the slow path takes a lane, makes it
longer, or counts in memory until that can be done.

A fork by C code runs none of Python's hooks, so each slow path looks whether this is still
the process that it was. A process that will be forked so (uWSGI's, while it loads the
application) has no fast path to leave to its children.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import SEEK_END, lseek
from typing import TYPE_CHECKING, TypeVar

from prometheus_client.samples import Exemplar

from metrics.shared.errors import ReplacedError
from metrics.shared.files.catalog import FamilyKey, LabelValues
from metrics.shared.values import GaugeValue, Value
from metrics.shared.writing.attachment import Attachment
from metrics.shared.writing.series import SeriesTable, full_name
from metrics.shared.writing.series_limit import DROPPED_HELP, DROPPED_KEY
from metrics.system import uwsgi
from metrics.system.run_dir import RunDir

if TYPE_CHECKING:
    from metrics.samples import Snapshot, Worker
    from metrics.shared.files.directory import Directory
    from metrics.shared.reading.reader import Reader

EMPTY = memoryview(bytearray()).cast("d")

T = TypeVar("T")


class Store:
    """All values of this process, shared through ``directory``.

    ``kind`` says what the process is, asked when it takes a lane; ``max_series`` how
    many label sets a family may hold.
    Nothing here raises into a caller that records, whatever happens to the directory.
    """

    def __init__(
        self,
        directory: RunDir | str | os.PathLike[str],
        *,
        kind: Callable[[], str] = str,
        max_series: Callable[[], int] = lambda: 10_000,
    ) -> None:
        self.directory = os.fspath(directory)
        self.cells = EMPTY
        self._hold = Attachment(RunDir.of(directory), kind)
        self._table = SeriesTable(self._hold, max_series)
        self.activity = self._hold.activity
        self._loaded_reader: Reader | None = None
        self._lock = threading.RLock()
        self._busy = False
        self._pending: list[tuple[Value, float, float, bool]] = []
        self._pid = os.getpid()
        self._fork_locks: dict[int, threading.RLock] = {}
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._after_fork_in_parent,
            after_in_child=self._after_fork_in_child,
        )
        atexit.register(self._end)

    # --- the slow path of a write -----------------------------------------------------

    def slow_add(self, value: Value, amount: float, when: float = 0.0) -> None:
        """Add to a value whose cell the lane does not cover yet."""
        self._write(value, amount, when, absolute=False)

    def slow_set(self, value: Value, amount: float, when: float = 0.0) -> None:
        """Set a value whose cell the lane does not cover yet."""
        self._write(value, amount, when, absolute=True)

    def slow_get(self, value: Value) -> float:
        """Return this process's share of a value that is not to be had from ``cells``."""
        self._notice_fork()
        return self._hold.get(value.cell) - value._base

    def _write(self, value: Value, amount: float, when: float, absolute: bool) -> None:
        with self._alone():
            self._pending.append((value, amount, when, absolute))
            if self._busy:  # in a signal handler or a finaliser, inside one of ours
                return
            with self._working():
                self._get_ready()

    @property
    def is_at_work_in_this_thread(self) -> bool:
        """Whether this is asked inside the slow path: by a signal handler or a finaliser."""
        return bool(self._lock._is_owned())  # type: ignore[attr-defined]  # as Condition asks it

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads off, and log what happened when they are let in again."""
        self._notice_fork()
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
                self._hold.apply(value.cell, amount, when, absolute)
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
        if self._table.homeless:
            self.cells = EMPTY
            self._table.renumber(files)
        is_new = self._hold.lane is None
        lane = self._hold.claim(files)
        lane.grow(files.index.catalog.next_cell)
        if is_new:
            self._table.begin_in(lane.cells)
        self._hold.store_memory(lane)
        if self._table.homeless or uwsgi.role() == "master":
            self.cells = EMPTY
        else:
            self.cells = lane.cells
        self._hold.recovered()

    def _open(self, *, look_at_lane: bool = True) -> Directory:
        """Return the open directory, this process's series having their cells in it.

        ``look_at_lane`` asks whether the lane's file is there, too. Raises OSError, StoreError.
        """
        files, is_new = self._hold.open()
        if is_new or (look_at_lane and self._hold.lane_is_lost):
            self.cells = EMPTY
            self._hold.leave_lost_lane(self._table.cells())
            if is_new and self._table.has_values:
                try:
                    self._table.renumber(files)
                except BaseException:
                    self._table.make_homeless()
                    raise
        return files

    # --- series -----------------------------------------------------------------------

    def series(self, key: FamilyKey, labelvalues: LabelValues, help_text: str) -> list[Value]:
        """Return this process's values of a series, one a cell that is written to.

        A label set beyond the family's limit gets those of the overflow series.
        """
        with self._alone():
            if known := self._table.get(key, labelvalues):
                return known
            cell, kept = self._enter(key, labelvalues, help_text)
            values = self._table.get(key, kept)
            if values is None:
                if key.type == "gauge":
                    values = [GaugeValue(self, cell, 0)]
                else:
                    values = [Value(self, cell + place, place) for place in range(key.width)]
                    self._begin(values)
                self._table.add(key, kept, values)
        if kept != labelvalues:
            self._table.mark_overflow(values)
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
                value.cell = cell + value.offset
            self._begin(values)
            if kept == labelvalues:
                self._table.add(key, kept, values)
            else:
                self._table.add_folded(key, kept, values)
        if kept != labelvalues:
            self._note_folded(key, labelvalues)

    def _begin(self, values: Iterable[Value]) -> None:
        """Let new values begin at 0 for their process, whatever their cells hold already."""
        for value in values:
            value._base = self._hold.get(value.cell)

    def release(self, values: Iterable[Value]) -> None:
        """Let go of the values of a metric that is unregistered: one made anew gets others."""
        with self._alone():
            self._table.release(values)

    def is_folded(self, value: Value) -> bool:
        """Whether ``value`` is that of an overflow series."""
        return self._table.is_folded(value)

    def _enter(
        self, key: FamilyKey, labelvalues: LabelValues, help_text: str
    ) -> tuple[int, LabelValues]:
        """Return a series' first cell, and the label values that it is kept under.

        A series that the index cannot take now gets a number of its own meanwhile.
        """
        self._table.note_help(key, help_text)
        if not self._busy and self._hold.may_try:
            with self._working():
                return self._twice(lambda: self._enter_in_index(key, labelvalues))
        found = self._table.enter_homeless(key, labelvalues)
        if self._table.homeless:
            self.cells = EMPTY  # so that the next write tries to give it a cell
        return found

    def _enter_in_index(self, key: FamilyKey, labelvalues: LabelValues) -> tuple[int, LabelValues]:
        files = self._open(look_at_lane=False)  # which a scrape does; this must be quick
        found = self._table.enter(files, key, labelvalues)
        if self._hold.lane is not None and len(self.cells):
            self._hold.lane.grow(files.index.catalog.next_cell)
            self.cells = self._hold.lane.cells
        return found

    def _note_folded(self, key: FamilyKey, labelvalues: LabelValues) -> None:
        if self._table.note_folded(key, labelvalues):
            name = full_name(key)
            self.series(DROPPED_KEY, (name,), DROPPED_HELP)[0].inc(1)

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
            self._table.remove(name, names, goes)
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
                        file.put(value.cell, exemplar)

    def get_exemplar(self, value: Value) -> Exemplar | None:
        """Return the newest exemplar that this process's lane has."""
        self._notice_fork()
        file = self._hold.exemplars
        return file.newest.get(value.cell) if file else None

    # --- reading ----------------------------------------------------------------------

    @property
    def _reader(self) -> Reader:
        """What reads the lanes, loaded when it is needed: few processes are ever scraped."""
        if self._loaded_reader is None:
            from metrics.shared.reading.reader import Reader

            self._loaded_reader = Reader()
        return self._loaded_reader

    def snapshot(self) -> Snapshot:
        """Return what all processes have counted. Never raises.

        Takes no lane. Tries to bring back what has failed before.
        """
        with self._alone():  # so that no fork comes in the middle of the import
            from metrics.shared.reading.reader import UNREADABLE, OwnMemory

            self._tend()
            hold = self._hold
            read = UNREADABLE
            if not self._busy:  # else in a signal handler that came inside our own work
                with self._working():  # no series is to be entered while all are gone through
                    families = self._table.homeless_families()
                    own = OwnMemory(hold.memory, families, hold.unsaved_faults)
                    read = self._reader.snapshot(self.directory, hold.files, own)
            return read

    def workers(self) -> list[Worker]:
        """Return the processes of all lanes, the dead ones too. Never raises."""
        with self._alone():
            self._tend()
            found: list[Worker] = []
            if not self._busy:
                with self._working():
                    found += self._reader.workers(self.directory, self._hold.files)
            return found

    @property
    def lane_number(self) -> int | None:
        """The number of this process's lane; None while it has none."""
        self._notice_fork()
        lane = self._hold.lane
        return None if lane is None else lane.number

    def is_alone(self) -> bool:
        """Whether no other process that lives has a lane in the directory."""
        own = self.lane_number
        return not any(w.alive and w.number != own for w in self.workers())

    def _tend(self) -> None:
        if self._busy or not self._hold.may_try:
            return
        with self._working():
            had_lane = self._hold.lane is not None
            if had_lane or os.path.isdir(self.directory):
                self._twice(self._open)
            if self._hold.memory or self._table.homeless or (had_lane and self._hold.lane is None):
                self._get_ready()
            self._hold.tend()

    # --- life -------------------------------------------------------------------------

    def claim(self) -> None:
        """Take a lane now rather than at the first write, so that `workers` shows it."""
        with self._alone():
            if (self._hold.lane is None or not len(self.cells)) and not self._busy:
                with self._working():
                    self._get_ready()

    def mend_lane(self) -> None:
        """Make this process's lane whole again if somebody has cut it. Never raises OSError.

        To be called before each request, where it may be the process's life: a write to
        what was cut off is its end.
        """
        lane = self._hold.lane
        # A quarter of a microsecond by itself, thrice that between other things.
        if lane is not None and lseek(lane.fd, 0, SEEK_END) < lane.size:
            with self._alone():
                self._tend()

    def move(self, directory: str, *, owner: int) -> None:
        """Go on in another directory, one of the user ``owner``, with all values of this process.

        Never raises OSError.
        """
        with self._alone():
            self.directory = directory
            self._hold.move_to(directory, owner)
            self._tend()

    def flush(self) -> None:
        """Try once more to store what others cannot see."""
        with self._alone():
            if self._hold.memory or self._hold.is_astray:
                self._hold.try_at_once()
                self._tend()

    def leave(self) -> None:
        """Say that this process ends in order: what is killed leaves another picture.

        For a signal handler that ends the process past Python's exit: it takes no lock.
        """
        if self._pid == os.getpid():  # else the lane is that of a parent whose fork no hook told of
            self._hold.leave()

    def _end(self) -> None:
        """Do what is to be done when Python exits."""
        self.flush()
        self.leave()

    def _notice_fork(self) -> None:
        """Begin anew if this process is a fork that no hook told of."""
        pid = os.getpid()
        if self._pid != pid:
            with self._fork_locks.setdefault(pid, threading.RLock()):
                if self._pid != pid:  # else another thread of it has done so meanwhile
                    self._after_fork_in_child()

    def _before_fork(self) -> None:
        self._notice_fork()
        self._lock.acquire()

    def _after_fork_in_parent(self) -> None:
        self._lock.release()

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        self._busy = False
        self._pending = []
        self.cells = EMPTY
        self._hold.after_fork_in_child()
        self._pid = os.getpid()
        self._table.begin_anew()
