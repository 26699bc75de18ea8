"""One of the two processes that the parent of `serve` starts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from health.supervisor.signal_masks import holding_back


@dataclass
class Child:
    """A process of ours: its command, and its process id while it runs.

    It leads a process group of its own, so that Ctrl-C reaches the parent alone and
    whatever it leaves behind can be found.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    pass_fds: Sequence[int] = ()
    pid: int = 0
    started: float = 0.0

    def start(self) -> None:
        """Start it."""
        with holding_back():
            process = subprocess.Popen(
                self.argv,
                env={**os.environ, **self.env},
                pass_fds=self.pass_fds,
                process_group=0,
            )
        # Every child is reaped in one place, by waitpid; Popen must not try as well.
        process.returncode = 0
        self.pid, self.started = process.pid, time.monotonic()

    def signal(self, sig: int) -> None:
        """Send it ``sig``; nothing happens when it does not run."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def ended(self) -> None:
        """Note that it was reaped, and kill what is left of its group."""
        pid, self.pid = self.pid, 0
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
