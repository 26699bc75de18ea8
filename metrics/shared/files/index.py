"""The index: one append-only file that gives each series its cells in every lane.

A file header of 64 bytes, then records, each a header of 16 bytes and a payload of
JSON. A record says its own length and checksum, so that one that was torn by a kill
or damaged later is recognised; whatever stands behind it is still found. The bytes
are described in docs/shared-store.md.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from metrics.shared.errors import ReplacedError, TooManySeriesError
from metrics.shared.files.catalog import Catalog, FamilyKey, FamilyRecord, LabelValues
from metrics.shared.files.claim import Reserve, Reserved
from metrics.shared.files.index_records import (
    FAMILY,
    MAX_CELLS,
    RECORD,
    REMOVED,
    SERIES,
    Record,
    next_record,
    pack_record,
    records_at,
    to_json,
)
from metrics.system import flock
from metrics.system.flock import LockBusyError
from metrics.system.gc_pause import collector_paused

MAGIC = b"SNTLIDX1"
HEADER = struct.Struct("<8sQdI")  # magic, generation, created, checksum
HEADER_SIZE = 64


class Index:
    """One process's view of the index file: a `Catalog` and how far it was read.

    Not for use by several threads at once: the store's lock guards it.
    """

    def __init__(self, path: str, reserve: Reserve, catalog: Catalog | None = None) -> None:
        """Open or create the file. Raises OSError, LockBusyError."""
        self.path = path
        self.reserve = reserve
        self.catalog = catalog or Catalog()
        self.damaged_bytes = 0
        self.torn_bytes = self.missing_cells = 0
        self._position = HEADER_SIZE
        self._kept = Reserved(0, 0, 0, 0)
        self.stuck = False
        while True:
            self._fd = flock.open_file(path)
            try:
                with self._locked():
                    if flock.same_file(self._fd, path):
                        self.generation = self._read_or_write_header()
                        here = os.fstat(self._fd)
                        self._identity = here.st_dev, here.st_ino
                        self._repairs = reserve.repairs()
                        break
            except BaseException:
                self.close()
                raise
            self.close()  # removed between open and lock

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)

    def reopen_after_fork(self) -> None:
        """Open the file anew: one open file excludes nobody from itself.

        What was read stays. Raises OSError, and that too if it is another file by now.
        """
        fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        here = os.fstat(fd)
        if (here.st_dev, here.st_ino) != self._identity:
            os.close(fd)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), self.path)
        os.close(self._fd)
        self._fd = fd

    @contextmanager
    def _locked(self) -> Iterator[None]:
        wait = flock.STUCK_WAIT_SECONDS if self.stuck else flock.FIRST_WAIT_SECONDS
        try:
            with flock.locked(self._fd, wait):
                self.stuck = False
                yield
        except LockBusyError:
            self.stuck = True
            raise

    def _read_or_write_header(self) -> int:
        data = os.pread(self._fd, HEADER_SIZE, 0)
        if len(data) >= HEADER.size:
            magic, generation, _created, checksum = HEADER.unpack(data[: HEADER.size])
            if magic == MAGIC and checksum == zlib.crc32(data[: HEADER.size - 4]):
                return int(generation)
        reserved = self.reserve.read()
        # Under a damaged header the records may be well.
        generation = reserved[0] if data and reserved else secrets.randbits(63) | 1
        head = struct.pack("<8sQd", MAGIC, generation, time.time())
        head += struct.pack("<I", zlib.crc32(head))
        if os.fstat(self._fd).st_size < HEADER_SIZE:
            flock.allocate(self._fd, 0, HEADER_SIZE)
        os.pwrite(self._fd, head, 0)
        kept = reserved or Reserved(0, 0, 0, 0)
        repairs = kept.repairs + 1 & 0xFFFFFFFF
        self.reserve.write(
            Reserved(generation, kept.cell if data else 0, repairs, kept.damaged if data else 0)
        )
        return int(generation)

    @property
    def is_current(self) -> bool:
        """Whether the path still names this file, and what was read of it still holds."""
        return self._stands(self.reserve.repairs()) >= self._position

    @property
    def was_cut(self) -> bool:
        """Whether this file was cut short, and no other process has noted it."""
        return 0 <= self._stands(self.reserve.repairs()) < self._position

    def _stands(self, repairs: bytes) -> int:
        """Return the file's size, or -1 if it was mended or the path names another."""
        try:
            there = os.stat(self.path)
        except OSError:
            return -1
        same = (there.st_dev, there.st_ino) == self._identity and repairs == self._repairs
        return there.st_size if same else -1

    def left_out(self) -> list[str]:
        """Say what of the file could not be read."""
        found = []
        if unreadable := self.damaged_bytes + self.torn_bytes:
            found.append(f"index: {unreadable} damaged bytes")
        if self.missing_cells:
            found.append(f"index: cut short; {self.missing_cells} cells are no series'")
        return found

    def note_repair(self) -> None:
        """Let all other processes read the index again. Raises OSError, LockBusyError."""
        with self._locked():
            self._note_repair(self.reserve.read())

    def _note_repair(self, kept: Reserved | None) -> None:
        kept = kept or Reserved(self.generation, 0, 0, 0)
        damaged = max(kept.damaged, self.damaged_bytes)
        cell = max(kept.cell, self.catalog.next_cell)
        self._keep(Reserved(self.generation, cell, kept.repairs + 1 & 0xFFFFFFFF, damaged))
        self._repairs = self.reserve.repairs()

    def _keep(self, kept: Reserved) -> None:
        self.reserve.write(kept)
        self._kept = kept

    # --- reading --------------------------------------------------------------------

    def refresh(self) -> None:
        """Read what was appended since the last time. Raises OSError."""
        before = self.torn_bytes, self.missing_cells
        self._look_at_the_end()
        if (self.torn_bytes, self.missing_cells) not in (before, (0, 0)):
            # Or is somebody writing it just now?
            with contextlib.suppress(LockBusyError), self._locked():
                self._look_at_the_end()

    def _look_at_the_end(self) -> None:
        self.torn_bytes = self._read_on()
        kept = self.reserve.read()
        given = kept.cell if kept and kept.generation == self.generation else 0
        self.missing_cells = max(0, given - self.catalog.next_cell)

    def _read_on(self, size: int = -1) -> int:
        """Enter what is new; return how many bytes at the end are no record."""
        size = os.fstat(self._fd).st_size if size < 0 else size
        if size <= self._position:
            return 0
        with collector_paused():
            return self._parse(os.pread(self._fd, size - self._position, self._position))

    def _parse(self, data: bytes) -> int:
        """Enter all whole records of ``data``; return how many bytes are left over."""
        at, end = 0, len(data)
        while at < end:
            found, at = records_at(data, at)
            self._enter(found)
            if at == end or (behind := next_record(data, at + 1)) is None:
                break
            # Damage with good records behind it. What it held cannot be known, but a
            # record is never shorter than the number of its cells.
            self._lost(behind - at)
            at = behind
        self._position += at
        return end - at

    def _lost(self, size: int, cell: int = 0) -> None:
        self.damaged_bytes += size
        self.catalog.next_cell = max(self.catalog.next_cell, cell) + size
        self.catalog.version += 1

    def _enter(self, found: Sequence[Record]) -> None:
        """Enter records; their payloads are parsed all at once, which is much faster."""
        families, add_series = self.catalog.families, self.catalog.add_series
        payloads = b",".join([payload for _at, _kind, _cell, payload in found])
        fields = json.loads(b"[%s]" % payloads)
        for (at, kind, cell, _payload), of in zip(found, fields, strict=True):
            if kind == SERIES and (family := families.get(of[0])):  # nearly all of them
                add_series(family, tuple(of[1]), cell)
            else:
                self._enter_one(self._position + at, kind, cell, of)

    def _enter_one(self, offset: int, kind: int, cell: int, fields: Sequence[Any]) -> None:
        catalog = self.catalog
        if kind == FAMILY:
            name, type_, mode, labelnames, bounds, help_text = fields
            key = FamilyKey(name, type_, mode, tuple(labelnames), tuple(bounds))
            catalog.add_family(offset, key, help_text)
        elif family := catalog.families.get(fields[0]):
            labelvalues = tuple(fields[1])
            if kind == SERIES:
                catalog.add_series(family, labelvalues, cell)
            elif kind == REMOVED:
                catalog.remove_series(family, labelvalues, fields[2])
        else:  # its family's record is damaged
            self._lost(RECORD.size + len(json.dumps(fields)), cell)

    # --- writing --------------------------------------------------------------------

    @contextmanager
    def appending(self) -> Iterator[Appender]:
        """Hold the lock, everything read and a torn tail cut off, to append.

        Raises OSError, ReplacedError.
        """
        with self._locked():
            kept, repairs = self.reserve.look()
            size = self._stands(repairs)
            if size < self._position:
                raise ReplacedError("the index was replaced, cut or mended")
            torn = self._read_on(size)
            if torn:
                os.ftruncate(self._fd, self._position)
                self.catalog.next_cell += torn
            if kept and kept.generation == self.generation:
                self.catalog.next_cell = max(self.catalog.next_cell, kept.cell)
            if torn or kept is None or self.damaged_bytes > kept.damaged:
                self._note_repair(kept)
            else:
                self._kept = kept
            self.torn_bytes = self.missing_cells = 0
            yield Appender(self)

    def reserve_cells(self, end: int) -> None:
        """Note that all cells below ``end`` are given away; the lock is held."""
        self._keep(self._kept._replace(generation=self.generation, cell=end))

    def append(self, kind: int, cell: int, fields: Sequence[Any], at_least: int = 0) -> None:
        """Write one record at the end, all of it or nothing, and enter it; the lock is held.

        Its payload has ``at_least`` bytes. Raises OSError, RecordTooLargeError.
        """
        record = pack_record(kind, cell, to_json(kind, fields).ljust(at_least))
        at = self._position
        try:
            if os.pwrite(self._fd, record, at) != len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except BaseException:
            os.ftruncate(self._fd, at)
            raise
        self._position += len(record)
        self._enter_one(at, kind, cell, fields)


class Appender:
    """What may be done to the index while its lock is held: `Index.appending` gives it out."""

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
