"""A clock that all processes of one host share and that nobody can set.

Only the standard library is imported here, so that ``sentinel-health`` starts quickly.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path

_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def now() -> float:
    """Return seconds since the machine started, suspension included where the system tells.

    The same in every process of the host, and never set back or forward by NTP or by hand.
    """
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


@functools.cache
def boot_id() -> str:
    """Return what differs after a restart of the machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
