"""A record of the index: its bytes, and how to find it among damage.

docs/shared-store.md lists them byte by byte.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

from metrics.shared.errors import RecordTooLargeError

RECORD = struct.Struct("<2sBxIII")  # magic, kind, payload's length, checksum, first cell
RECORD_MAGIC = b"\xa7R"
MAX_PAYLOAD = 256 * 1024
MAX_CELLS = 1 << 24
"""128 MiB a lane; a number above it is damage."""

FAMILY, SERIES, REMOVED = 1, 2, 3

Record = tuple[int, int, int, bytes]
"""Where it begins, its kind, its first cell and its payload."""


def _checksum(kind: int, cell: int, payload: bytes) -> int:
    return zlib.crc32(payload, cell << 8 | kind)  # both as where the sum starts from


def to_json(kind: int, fields: Sequence[Any]) -> bytes:
    """Return a record's payload."""
    if kind == SERIES:  # each new label set of a service passes here
        offset, labelvalues, created = fields
        quoted = ",".join(map(encode_basestring_ascii, labelvalues))
        return b"[%d,[%s],%s]" % (offset, quoted.encode(), repr(created).encode())
    return json.dumps(fields, separators=(",", ":")).encode()


def pack_record(kind: int, cell: int, payload: bytes) -> bytes:
    """Return a record's bytes. Raises RecordTooLargeError."""
    if len(payload) > MAX_PAYLOAD:
        raise RecordTooLargeError(f"a label set of {len(payload)} bytes; {MAX_PAYLOAD} fit")
    checksum = _checksum(kind, cell, payload)
    return RECORD.pack(RECORD_MAGIC, kind, len(payload), checksum, cell) + payload


def records_at(data: bytes, at: int) -> tuple[list[Record], int]:
    """Return the unbroken row of whole records that begins at ``at``, and where it ends."""
    found: list[Record] = []
    unpack, checksum_of = RECORD.unpack_from, zlib.crc32  # a new process passes here often
    size = RECORD.size
    last = len(data) - size
    while at <= last:
        magic, kind, length, checksum, cell = unpack(data, at)
        start = at + size
        payload = data[start : start + length]
        if (
            magic != RECORD_MAGIC
            or not 0 < length <= MAX_PAYLOAD  # zeros would have the right checksum
            or cell > MAX_CELLS
            or len(payload) < length
            or checksum != checksum_of(payload, cell << 8 | kind)
        ):
            break
        found.append((at, kind, cell, payload))
        at = start + length
    return found, at


def next_record(data: bytes, at: int) -> int | None:
    """Return where the first whole record at or behind ``at`` begins."""
    while (at := data.find(RECORD_MAGIC, at)) >= 0:
        if records_at(data, at)[0]:
            return at
        at += 1
    return None
