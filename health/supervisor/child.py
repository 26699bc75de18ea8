"""What each of the two servers runs as: ``python -m health.supervisor.child``.

A program of its own and not a fork of the command, so that gunicorn's arbiters hold
nothing of Django: they stay small, and HUP reloads the code and the settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from health.supervisor.lifeline import die_with_parent
from metrics.kind import declare_process_kind

MODULE = "health.supervisor.child"


def application_argv(wsgi_app: str, asgi_app: str, words: Sequence[str]) -> list[str]:
    """Return the command of the application's gunicorn; ``words`` are gunicorn's own."""
    head = [sys.executable, "-m", MODULE, "application", "--parent", str(os.getpid())]
    return [*head, "--wsgi-app", wsgi_app, "--asgi-app", asgi_app, "--", *words]


def health_argv(bind: str, *, parent: int | None = None) -> list[str]:
    """Return the command of the health server; without ``parent`` it stands alone."""
    tied = [] if parent is None else ["--parent", str(parent)]
    return [sys.executable, "-m", MODULE, "health", *tied, "--bind", bind]


def main() -> None:
    """Run the server that the command line names."""
    words = sys.argv[1:]
    own, rest = words, []
    if "--" in words:
        cut = words.index("--")
        own, rest = words[:cut], words[cut + 1 :]
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    parser.add_argument("server", choices=["application", "health"])
    parser.add_argument("--parent", type=int)
    parser.add_argument("--wsgi-app", default="")
    parser.add_argument("--asgi-app", default="")
    parser.add_argument("--bind", default="")
    given = parser.parse_args(own)
    if given.parent is not None:
        die_with_parent(given.parent)
    from health import gunicorn as hooks
    from health.supervisor import servers

    if given.server == "application":
        declare_process_kind(hooks.ARBITER_KIND)
        sys.argv = [sys.argv[0], *rest]  # gunicorn reads its words there
        servers.ServedApplication(wsgi_app=given.wsgi_app, asgi_app=given.asgi_app).run()
    else:
        declare_process_kind("health_server")
        # Imported by name only in the worker, when gunicorn calls them.
        from health import server

        servers.HealthServer(
            bind=given.bind, load=server.application, prober=server.start_prober
        ).run()


if __name__ == "__main__":
    main()
