"""The application's signs of life and last words, where no file system is needed.

One piece of memory that only the processes of one `serve` have, as an inherited
descriptor. Each application worker that has loaded the code holds a lock on it, which
the kernel frees when it dies, however it dies; what kept the application from starting
is written into it. So the health server knows of life, and the parent of causes, also
while the run directory cannot be used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile

MAX_WORDS = 2000
"""How many bytes of last words are kept."""
_LIVED = b"1"
"""What the first byte is as soon as a worker has lived; the words come after it."""


class LifeSigns:
    """The memory behind one descriptor, which stays open as long as this object's process."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._shown_by = 0

    @classmethod
    def create(cls) -> LifeSigns:
        """Make the memory. Raises OSError."""
        if hasattr(os, "memfd_create"):
            with contextlib.suppress(OSError):  # a container may forbid it
                return cls(os.memfd_create("sentinel-life"))
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def live(self) -> None:
        """Show, until this process dies, that it lives. Raises OSError.

        A record lock: a child does not inherit it.
        """
        fcntl.lockf(self.descriptor, fcntl.LOCK_SH)
        os.pwrite(self.descriptor, _LIVED, 0)
        self._shown_by = os.getpid()

    def anyone_lives(self) -> bool:
        """Whether a process shows that it lives.

        Two processes that ask in the same microsecond may take each other for one.
        """
        if self._shown_by == os.getpid():  # to ask would end our own lock
            return True
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.lockf(self.descriptor, fcntl.LOCK_UN)
        return False

    def anyone_lived(self) -> bool:
        """Whether a process ever showed that it lives."""
        return os.pread(self.descriptor, 1, 0) == _LIVED

    def say(self, words: str) -> None:
        """Leave ``words`` for `words`, in place of earlier ones; never raises."""
        with contextlib.suppress(OSError):
            data = words.encode(errors="replace")[:MAX_WORDS]
            os.ftruncate(self.descriptor, 1)
            os.pwrite(self.descriptor, data, 1)

    def words(self) -> str:
        """Return what was said last, on one line; empty if nothing was."""
        data = os.pread(self.descriptor, MAX_WORDS, 1)
        return " ".join(data.decode(errors="replace").split())


_current: LifeSigns | None = None


def inherit(descriptor: int) -> LifeSigns:
    """Take the memory over in a process that `serve` started, and in those it forks."""
    global _current
    os.set_inheritable(descriptor, False)
    _current = LifeSigns(descriptor)
    return _current


def current() -> LifeSigns | None:
    """Return what this process inherited; None where no `serve` started it."""
    return _current
