"""Bearer tokens: what one is, and files of them."""

from __future__ import annotations

import hashlib
import logging
import os
import stat

logger = logging.getLogger(__name__)


def is_token(text: str) -> bool:
    """Whether a header can carry ``text``."""
    return bool(text) and text.isascii() and text.isprintable()


def digest(token: str) -> bytes:
    """Return what is kept of a token, and compared: all digests are equally long."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class TokenFile:
    """Bearer tokens, one a line, read again whenever the file changes.

    A byte order mark, blank lines and space around a token do not count. What cannot
    be a token opens nothing, and the log says so, once a version of the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._version: tuple[int, ...] | None = None
        self._digests: frozenset[bytes] = frozenset()

    def digests(self) -> frozenset[bytes]:
        """Return the tokens' digests; none, and a line in the log, if it cannot be read."""
        try:
            info = os.stat(self._path)
            version = (info.st_dev, info.st_ino, info.st_mtime_ns, info.st_ctime_ns, info.st_size)
            if version != self._version:
                self._digests = self._read(info)
                self._version = version
        except (OSError, ValueError) as e:
            if self._version != ():
                logger.error(
                    "The token file %s cannot be read and opens nothing: %s",
                    self._path,
                    "it is not UTF-8" if isinstance(e, UnicodeError) else e,
                )
            self._version, self._digests = (), frozenset()
        return self._digests

    def _read(self, info: os.stat_result) -> frozenset[bytes]:
        """Return the digests of the tokens in the file. Raises OSError, ValueError."""
        if not stat.S_ISREG(info.st_mode):
            raise ValueError("it is no regular file")  # to read a pipe could take for ever
        tokens = []
        with open(self._path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                token = line.strip()
                if is_token(token):
                    tokens.append(digest(token))
                elif token:
                    logger.error(
                        "Line %d of the token file %s is no token (printable ASCII) and opens"
                        " nothing",
                        number,
                        self._path,
                    )
        if not tokens:
            logger.error("The token file %s has no token in it and opens nothing", self._path)
        return frozenset(tokens)
