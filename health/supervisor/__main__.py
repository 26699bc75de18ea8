"""The application's gunicorn under `serve`: ``python -m health.supervisor``."""

from __future__ import annotations

import sys

from health.supervisor import programs
from metrics.system.process_kind import declare_process_kind


def main() -> None:
    """Serve the application; what follows ``--`` are gunicorn's own words."""
    words = sys.argv[1:]
    cut = words.index("--")
    given = programs.begin(
        programs.APPLICATION,
        ("--bind", "--run-dir", "--wsgi-app", "--asgi-app"),
        words[:cut],
    )
    from health.supervisor import application_server, hooks

    declare_process_kind(hooks.ARBITER_KIND)
    sys.argv = [sys.argv[0], *words[cut + 1 :]]  # gunicorn reads its words there
    application_server.ServedApplication(
        wsgi_app=given.wsgi_app,
        asgi_app=given.asgi_app,
        health_bind=given.bind,
        run_dir=given.run_dir,
    ).run()


if __name__ == "__main__":
    main()
