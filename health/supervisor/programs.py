"""The two programs that `serve` starts, and what both do first.

The application's gunicorn is ``python -m health.supervisor``, the health server
``python -m health.server``. They are programs of their own and not forks of the command,
so that gunicorn's arbiters hold nothing of Django: they stay small, and HUP reloads the
code and the settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from health.application.life_signs import LifeSigns, inherit
from health.supervisor.parent_death import die_with_parent

APPLICATION, HEALTH = "health.supervisor", "health.server"
"""The modules that the programs are."""


def application_argv(
    wsgi_app: str,
    asgi_app: str,
    words: Sequence[str],
    *,
    health_bind: str,
    run_dir: str,
    signs: LifeSigns,
) -> list[str]:
    """Return the command of the application's gunicorn, a child of this process.

    ``words`` are gunicorn's own; ``health_bind`` is the address that it must leave to
    the health server, ``run_dir`` the run directory, each empty where there is none.
    """
    return [
        *_command(APPLICATION, signs),
        *("--bind", health_bind, "--run-dir", run_dir),
        *("--wsgi-app", wsgi_app, "--asgi-app", asgi_app, "--", *words),
    ]


def health_argv(bind: str, *, signs: LifeSigns | None = None) -> list[str]:
    """Return the command of the health server.

    With ``signs``, which it shares with the application, it is a child of this
    process; without, it stands alone.
    """
    return [*_command(HEALTH, signs), "--bind", bind]


def open_standard_descriptors() -> None:
    """Open what is closed of stdin, stdout and stderr on the null device.

    Else the next files get their numbers: what C code prints would go into the store.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def begin(module: str, options: Sequence[str], words: Sequence[str]) -> argparse.Namespace:
    """Return the values of ``options`` (texts, empty by default) on a program's command line.

    Before that the program is tied to its parent's life, and takes over what they share.
    """
    open_standard_descriptors()
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--parent", type=int)
    parser.add_argument("--life-signs", type=int)
    for option in options:
        parser.add_argument(option, default="")
    given = parser.parse_args(words)
    if given.parent is not None:
        die_with_parent(given.parent)
    if given.life_signs is not None:
        inherit(given.life_signs)
    return given


def _command(module: str, signs: LifeSigns | None) -> list[str]:
    head = [sys.executable, "-m", module]
    if signs is None:
        return head
    return [*head, "--parent", str(os.getpid()), "--life-signs", str(signs.descriptor)]
