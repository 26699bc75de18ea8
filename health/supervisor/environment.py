"""What `serve` and `health_server` take from the environment, before Django is there.

=========================  ====================  ==================================
SENTINEL_BIND              127.0.0.1:8000        address of the application
SENTINEL_HEALTH_BIND       127.0.0.1:9201        address of the health server
SENTINEL_WORKERS           2 x cores + 1         processes that serve the application
=========================  ====================  ==================================
"""

from __future__ import annotations

import os
import tempfile

from metrics.system import run_dir

BIND = "127.0.0.1:8000"
HEALTH_BIND = "127.0.0.1:9201"


def bind() -> str:
    """Return the application's address, ``HOST:PORT``, ``unix:PATH`` or ``fd://N``."""
    return os.environ.get("SENTINEL_BIND") or BIND


def health_bind() -> str:
    """Return the health server's address; empty when SENTINEL_HEALTH_BIND is set to nothing."""
    return os.environ.get("SENTINEL_HEALTH_BIND", HEALTH_BIND)


def workers() -> int:
    """Return how many worker processes there are to be, 1 or more. Raises ValueError."""
    text = os.environ.get("SENTINEL_WORKERS")
    if not text:
        return 2 * cores() + 1
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError(f"SENTINEL_WORKERS must be a whole number above 0, not {text!r}")
    return int(text)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def provide_temporary_directory() -> None:
    """Let this process and its children have a directory for temporary files, if there is any.

    Gunicorn needs one, and so does an upload. Where the root is read-only and none of the
    usual ones can be written to, it is ``/dev/shm``, as ``TMPDIR`` would have it.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        if place := run_dir.writable_place():
            os.environ["TMPDIR"] = place
