"""Listening sockets that systemd opened for us (sd_listen_fds(3)).

Gunicorn's own support would take them all for the application.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

FIRST_DESCRIPTOR = 3
HEALTH_NAME = "health"
"""``FileDescriptorName=`` of the health server's socket unit; any other is the application's."""


@dataclass(frozen=True)
class Sockets:
    """Descriptors of the listening sockets; None where there is none."""

    application: int | None = None
    health: int | None = None

    def for_application(self) -> list[int]:
        """Return what the application's process inherits."""
        return [] if self.application is None else [self.application]

    def for_health(self) -> list[int]:
        """Return what the health server inherits."""
        return [] if self.health is None else [self.health]


def take() -> Sockets:
    """Return the sockets that were passed to this process, and forget how they came.

    The first socket that is not named ``health`` is the application's.
    """
    mine = os.environ.get("LISTEN_PID") == str(os.getpid())
    count = int(os.environ.get("LISTEN_FDS", "0")) if mine else 0
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(variable, None)
    application = health = None
    for place in range(count):
        descriptor = FIRST_DESCRIPTOR + place
        if place < len(names) and names[place] == HEALTH_NAME:
            health = descriptor if health is None else health
        elif application is None:
            application = descriptor
    return Sockets(application, health)
