"""What each of the two servers runs as: ``python -m health.supervisor.entry``.

A program of its own and not a fork of the command, so that gunicorn's arbiters hold
nothing of Django: they stay small, and HUP reloads the code and the settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from health.application.life_signs import Vitals, inherit
from health.supervisor.parent_death import die_with_parent
from metrics.system.process_kind import declare_process_kind

MODULE = "health.supervisor.entry"


def application_argv(
    wsgi_app: str,
    asgi_app: str,
    words: Sequence[str],
    *,
    health_bind: str,
    run_dir: str,
    vitals: Vitals,
) -> list[str]:
    """Return the command of the application's gunicorn, a child of this process.

    ``words`` are gunicorn's own; ``health_bind`` is the address that it must leave to
    the health server, ``run_dir`` the run directory, each empty where there is none.
    """
    return [
        *_command("application", vitals),
        *("--bind", health_bind, "--run-dir", run_dir),
        *("--wsgi-app", wsgi_app, "--asgi-app", asgi_app, "--", *words),
    ]


def health_argv(bind: str, *, vitals: Vitals | None = None) -> list[str]:
    """Return the command of the health server.

    With ``vitals``, which it shares with the application, it is a child of this
    process; without, it stands alone.
    """
    return [*_command("health", vitals), "--bind", bind]


def open_standard_descriptors() -> None:
    """Open what is closed of stdin, stdout and stderr on the null device.

    Else the next files get their numbers: what C code prints would go into the store.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _command(server: str, vitals: Vitals | None) -> list[str]:
    head = [sys.executable, "-m", MODULE, server]
    if vitals is None:
        return head
    return [*head, "--parent", str(os.getpid()), "--vitals", str(vitals.descriptor)]


def main() -> None:
    """Run the server that the command line names."""
    open_standard_descriptors()
    words = sys.argv[1:]
    own, rest = words, []
    if "--" in words:
        cut = words.index("--")
        own, rest = words[:cut], words[cut + 1 :]
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    parser.add_argument("server", choices=["application", "health"])
    parser.add_argument("--parent", type=int)
    parser.add_argument("--vitals", type=int)
    parser.add_argument("--wsgi-app", default="")
    parser.add_argument("--asgi-app", default="")
    parser.add_argument("--bind", default="")
    parser.add_argument("--run-dir", default="")
    given = parser.parse_args(own)
    if given.parent is not None:
        die_with_parent(given.parent)
    if given.vitals is not None:
        inherit(given.vitals)
    from health import gunicorn as hooks
    from health.server import gunicorn_app
    from health.supervisor import application_server

    if given.server == "application":
        declare_process_kind(hooks.ARBITER_KIND)
        sys.argv = [sys.argv[0], *rest]  # gunicorn reads its words there
        application_server.ServedApplication(
            wsgi_app=given.wsgi_app,
            asgi_app=given.asgi_app,
            health_bind=given.bind,
            run_dir=given.run_dir,
        ).run()
    else:
        declare_process_kind("health_server")
        # Imported by name only in the worker, when gunicorn calls them.
        from health.server import app

        gunicorn_app.HealthServer(
            bind=given.bind, load=app.application, prober=app.start_prober
        ).run()


if __name__ == "__main__":
    main()
