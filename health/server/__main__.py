"""The health server: ``python -m health.server``, which `manage.py health_server` becomes."""

from __future__ import annotations

import sys

from health.supervisor import programs
from metrics.system.process_kind import declare_process_kind


def main() -> None:
    """Serve the health endpoints and the metrics on the address of ``--bind``."""
    given = programs.begin(programs.HEALTH, ("--bind",), sys.argv[1:])
    # What the worker alone calls imports Django there.
    from health.server import app, gunicorn_app

    declare_process_kind("health_server")
    gunicorn_app.HealthServer(bind=given.bind, load=app.application, prober=app.start_threads).run()


if __name__ == "__main__":
    main()
