"""The board's file: how a document is sealed in it, and read from it.

Only a few modules of the standard library are imported here, so that
``sentinel-health`` starts quickly.
"""

from __future__ import annotations

import os
import zlib

from health.core import clock
from health.core.document import Document, dump, load

DIRECTORY = "health"
NAME = "board"
MAGIC = b"sentinel-board-1 "
MAX_BYTES = 16 * 1024 * 1024

DAMAGED = Document(damaged=True)
EMPTY = Document()

Key = tuple[int, int, int]
"""What differs between any two files that were renamed into place."""


def seal(document: Document) -> bytes:
    """Return ``document`` as JSON below a line with its checksum."""
    content = dump(document)
    return b"%s%08x\n%s" % (MAGIC, zlib.crc32(content), content)


def unseal(sealed: bytes) -> Document:
    """Parse what `seal` wrote. Raises ValueError when a single byte of it differs."""
    head, _, content = sealed.partition(b"\n")
    if head != b"%s%08x" % (MAGIC, zlib.crc32(content)):
        raise ValueError("the checksum does not fit")
    return load(content)


def key_of(info: os.stat_result) -> Key:
    """Return the key of a file."""
    return info.st_mtime_ns, info.st_ino, info.st_size


def read(path: str) -> tuple[Key | None, Document]:
    """Return the document in the file and the file's key; empty where there is no file.

    What is damaged, unreadable or another user's is a damaged document. After a
    restart of the machine the states are forgotten: their times are on a clock that
    is gone.
    """
    try:
        with open(path, "rb") as file:
            info = os.fstat(file.fileno())
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None, EMPTY
    except OSError:
        return None, DAMAGED
    user = os.geteuid()
    try:
        if user != 0 and info.st_uid not in (user, 0):
            raise ValueError("the file belongs to another user")
        document = unseal(content)
    except ValueError:
        document = DAMAGED
    if not document.damaged and document.boot != clock.boot_id():
        document = document.forgetting_states()
    return key_of(info), document
