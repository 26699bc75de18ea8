"""Passwords checked against hashes, few at once, and the right ones remembered."""

from __future__ import annotations

import hmac
import secrets
import threading

from django.contrib.auth.hashers import check_password

from metrics.system import forks


class TooManyPasswordsError(Exception):
    """So many passwords are being checked just now that this one was not."""


class PasswordMemory:
    """Check passwords against hashes, and remember the right ones under a secret of its own.

    A hash is slow on purpose, and a scraper sends the same password every time. What is
    wrong is slow each time, for each name: a quick answer would tell which names there
    are. One check runs at a time and few wait for it, so that wrong passwords can keep
    neither every core busy nor every thread, some of which probes need.
    """

    LIMIT = 256
    MAX_AT_ONCE = 3

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._begin()
        forks.after_in_child(self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(self.MAX_AT_ONCE)

    def check(self, user: str, password: str, encoded: str, *, remember: bool) -> bool:
        """Whether ``password`` is the one that ``encoded`` was made from, asked for ``user``.

        What is right is remembered for this user, if ``remember`` says so. Raises
        TooManyPasswordsError where others are being checked and waited for already.
        """
        text = f"{user}\0{encoded}\0{password}".encode()
        mark = hmac.digest(self._key, text, "sha256")
        if mark in self._right:
            return True
        if not self._places.acquire(blocking=False):
            raise TooManyPasswordsError
        try:
            with self._lock:
                if mark in self._right:
                    return True
                if not check_password(password, encoded):
                    return False
                if remember:
                    if len(self._right) >= self.LIMIT:
                        self._right.clear()
                    self._right.add(mark)
                return True
        finally:
            self._places.release()
