"""Tells uWSGI's processes apart. It forks in C, and none of Python's hooks runs then.

The module ``uwsgi`` is there in none but its processes.
"""

from __future__ import annotations

import sys
from typing import Any


def role() -> str:
    """Return what this process is to uWSGI.

    ``worker``, ``mule``, ``spooler`` or ``master``, which is the process that loads the
    application and forks the others, also where ``--master`` is not given; ``""`` in a
    process that is none of uWSGI's. The same process may turn from master to worker.
    """
    server: Any = sys.modules.get("uwsgi")
    if server is None or not hasattr(server, "worker_id"):
        return ""
    if server.worker_id():
        return "worker"
    if server.mule_id():
        return "mule"
    if server.i_am_the_spooler():
        return "spooler"
    return "master"


def runs_threads() -> bool:
    """Whether threads that Python code starts are let run in this process.

    Older versions of uWSGI do that only with ``--enable-threads`` or ``--threads``.
    """
    return bool(getattr(sys.modules.get("uwsgi"), "has_threads", True))
