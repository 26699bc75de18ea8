"""A clock that all processes of one host share and that nobody can set.

Only the standard library is imported here, so that ``sentinel-health`` starts quickly.
"""

from __future__ import annotations

import time

_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def now() -> float:
    """Return seconds since the machine started, suspension included where the system tells.

    The same in every process of the host, and never set back or forward by NTP or by hand.
    """
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


_boot_id: str | None = None


def boot_id() -> str:
    """Return what differs after a restart of the machine; empty where the system does not tell."""
    global _boot_id
    if _boot_id is None:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                _boot_id = file.read().strip()
        except OSError:
            _boot_id = ""
    return _boot_id
