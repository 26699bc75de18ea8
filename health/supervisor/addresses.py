"""Whether a server could listen on an address, asked before anything is started."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Iterable

from gunicorn import util

PATIENCE_SECONDS = 3.0
"""How long an address may be in use yet: a server that was killed needs a moment."""
_ANY = frozenset({"", "0.0.0.0", "::"})

Address = tuple[str, int] | str | int
"""Host and port, the path of a UNIX socket, or a descriptor."""


class AddressError(ValueError):
    """A server cannot listen there, and the message says why."""


def parse(text: str) -> Address:
    """Return the address that ``text`` means to gunicorn. Raises AddressError."""
    try:
        address: Address = util.parse_address(text)
    except RuntimeError as e:
        raise AddressError(f"cannot listen on {text}: {e}") from e
    if isinstance(address, tuple) and not 0 <= address[1] <= 65535:
        raise AddressError(f"cannot listen on {text}: a port is 0 to 65535")
    return address


def check_usable(text: str, *, patience: float = PATIENCE_SECONDS) -> None:
    """Raise AddressError unless a server could listen on ``text``.

    An address in use is tried again for ``patience`` seconds.
    """
    address = parse(text)
    deadline = time.monotonic() + patience
    while True:
        try:
            _try(address)
        except OSError as e:
            if e.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise AddressError(f"cannot listen on {text}: {e.strerror or e}") from e
            time.sleep(0.1)
        else:
            return


def overlap(text: str, others: Iterable[Address]) -> bool:
    """Whether a server on ``text`` would be in the way of one on ``others``."""
    mine = parse(text)
    return any(_same(mine, other) for other in others)


def _same(one: Address, other: Address) -> bool:
    if not isinstance(one, tuple) or not isinstance(other, tuple):
        return one == other
    if one[1] == 0 or one[1] != other[1]:  # port 0 is any that is free
        return False
    return one[0] == other[0] or not _ANY.isdisjoint((one[0], other[0]))


def _try(address: Address) -> None:
    if isinstance(address, int):
        with socket.socket(fileno=os.dup(address)) as sock:
            sock.getsockname()
    elif isinstance(address, str):
        _try_path(address)
    else:
        family = socket.AF_INET6 if util.is_ipv6(address[0]) else socket.AF_INET
        with socket.socket(family) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen()


def _try_path(path: str) -> None:
    if path.startswith("\0"):
        return
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise OSError(errno.EEXIST, "there is a file that is no socket")
    except FileNotFoundError:
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            raise
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
