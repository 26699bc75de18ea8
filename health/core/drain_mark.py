"""The mark that says: this host is about to stop, send it no more.

Only the standard library is imported here, so that ``sentinel-health`` starts quickly.
"""

from __future__ import annotations

import os

NAME = "draining"
"""The mark's file in the run directory."""


class DrainMark:
    """A file in a run directory, so that every process of the host sees it at once."""

    __slots__ = ("path",)

    def __init__(self, run_dir: str | os.PathLike[str]) -> None:
        self.path = f"{os.fspath(run_dir)}/{NAME}"

    @property
    def is_set(self) -> bool:
        """Whether the host is marked; one system call."""
        # half of what os.path.exists takes, which raises and catches where nothing is
        return os.access(self.path, os.F_OK)

    def set(self) -> None:
        """Mark the host. Raises OSError.

        Root does it in a directory that may be another user's: it follows no link there.
        """
        flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        os.close(os.open(self.path, flags, 0o600))

    def clear(self) -> None:
        """Remove the mark, if there is one. Raises OSError."""
        try:  # noqa: SIM105 - sentinel-health loads no contextlib
            os.unlink(self.path)
        except FileNotFoundError:
            pass
