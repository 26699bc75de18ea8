"""What kind of process this is: a gunicorn worker, a Celery worker, a management command.

The word labels what each process shows in a scrape. Nothing here imports Django,
so that a process may be asked before it is set up.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import PurePath

from metrics.system import uwsgi

MAX_LENGTH = 32
"""The longest kind, in ASCII characters: a lane's header has room for no more."""

WEB_SERVERS = frozenset(
    {
        "daphne",
        "granian",
        "gunicorn",
        "hypercorn",
        "manage.py runserver",
        "mod_wsgi",
        "uvicorn",
        "uwsgi",
        "waitress",
    }
)
"""Kinds of processes that serve the application wherever they run."""

_SCRIPTS = {"waitress-serve": "waitress"}
"""Kinds of scripts that are not named as what they run; mod_wsgi needs none, it sets sys.argv."""

_declared: str | None = None


def declare_process_kind(kind: str) -> None:
    """Say what this process, and those it forks from now on, are.

    For servers that know better than their command line shows. ``kind`` is cut
    to `MAX_LENGTH` characters of ASCII; others become ``?``.
    """
    global _declared
    _declared = _short(kind)


def process_kind(argv: Sequence[str] | None = None) -> str:
    """Return the kind of this process: ASCII, 1 to `MAX_LENGTH` characters.

    ``gunicorn``, ``celery``, ``waitress``, ``mod_wsgi``, ``health_server``,
    ``manage.py NAME``, or else the name of the script that runs, as ``server`` for
    ``python server.py`` (``python`` where there is none). uWSGI's workers are ``uwsgi``,
    its other processes ``uwsgi master``, ``uwsgi mule`` and ``uwsgi spooler``. What
    `declare_process_kind` said comes first. ``argv`` stands in for ``sys.argv``.
    """
    if argv is None:
        if _declared is not None:
            return _declared
        if role := uwsgi.role():
            return "uwsgi" if role == "worker" else f"uwsgi {role}"
        argv = sys.argv
    script = PurePath(argv[0]) if argv and argv[0] not in ("", "-c", "-m") else None
    if script is None:
        return "python"
    # `python -m package` shows as .../package/__main__.py
    name = script.parent.name if script.name == "__main__.py" else script.name
    if name in ("manage.py", "django-admin", "django"):
        command = next((word for word in argv[1:] if not word.startswith("-")), "")
        return _short(f"manage.py {command}".rstrip())
    name = name.removesuffix(".py")
    return _short(_SCRIPTS.get(name, name)) or "python"


def is_test_run() -> bool:
    """Whether this process runs tests: ``manage.py test``, pytest, or a worker of pytest-xdist.

    That pytest has been imported says nothing: libraries do so in services.
    """
    if process_kind() in ("manage.py test", "pytest", "py.test"):
        return True
    return "PYTEST_XDIST_WORKER" in os.environ and "_pytest.main" in sys.modules


def is_kind(value: object) -> bool:
    """Whether ``value`` can be the kind of a process."""
    return isinstance(value, str) and value != "" and value == _short(value)


def _short(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)[:MAX_LENGTH].rstrip()
