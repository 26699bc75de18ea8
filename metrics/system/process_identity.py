"""Which process a process id means: ids are used again, and each namespace has its own."""

from __future__ import annotations

import os


def pid_namespace() -> int:
    """Return what tells this process's pid namespace from others; 0 where there are none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # not Linux, or /proc is not mounted
        return 0


def start_ticks(pid: int | None = None) -> int:
    """Return when a process (this one) started, in clock ticks since boot; 0 if not known."""
    try:
        with open(f"/proc/{'self' if pid is None else pid}/stat", "rb", buffering=0) as file:
            return int(stat_fields(file.read())[19])
    except (OSError, ValueError, IndexError):
        return 0


def stat_fields(stat: bytes) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the third on, see proc_pid_stat(5).

    The second is the program's name, which may hold spaces and brackets.
    """
    return stat.rpartition(b")")[2].split()
