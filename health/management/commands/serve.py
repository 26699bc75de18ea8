"""Serve the application by gunicorn, with a health server beside it."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from gunicorn.config import Config

from health import logs
from health.application.life_signs import LifeSigns
from health.conf import conf
from health.supervisor import addresses, environment, preparation, programs, systemd_sockets
from health.supervisor.child import Child
from health.supervisor.parent import Supervisor


class Command(BaseCommand):
    """Parse the options and become the parent of both servers."""

    help = (
        "Serve the application by gunicorn, and the health endpoints, the metrics and the "
        "prober by a process of their own. Whatever follows -- goes to the application's "
        "gunicorn as it is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options; those left out come from the environment or gunicorn's file."""
        parser.add_argument(
            "--bind", metavar="ADDRESS", help="default: SENTINEL_BIND, else 127.0.0.1:8000"
        )
        parser.add_argument(
            "--health-bind",
            metavar="ADDRESS",
            help="default: SENTINEL_HEALTH_BIND, else 127.0.0.1:9201",
        )
        parser.add_argument(
            "--no-health", action="store_true", help="do not start the health server"
        )
        parser.add_argument(
            "--workers", type=_count, help="default: SENTINEL_WORKERS, else 2 x cores + 1"
        )
        parser.add_argument("--threads", type=_count, help="threads of each worker")
        parser.add_argument(
            "--worker-class",
            metavar="CLASS",
            help="sync, gthread, asgi, or gevent (to be installed)",
        )
        parser.add_argument(
            "--config",
            metavar="FILE",
            help="a gunicorn configuration file; by default gunicorn.conf.py where there is one",
        )
        parser.add_argument("gunicorn", nargs="*", help="after --: gunicorn's own options")

    def handle(self, *args: Any, **given: Any) -> None:
        """Serve until the end; exits with the parent's status."""
        programs.open_standard_descriptors()
        environment.provide_temporary_directory()
        logs.ensure_handler()
        health_bind = given["health_bind"] or environment.health_bind()
        sockets = systemd_sockets.take()
        if sockets.application is not None:
            given["bind"] = f"fd://{sockets.application}"
        if sockets.health is not None:
            health_bind = f"fd://{sockets.health}"
        try:
            wsgi_app, asgi_app = _application_names()
            drain_seconds = conf.drain_seconds
            environment.workers()
            words = _gunicorn_words(given)
            if given["no_health"]:
                health_bind = ""
            lock = preparation.claim()
            if given["bind"] and sockets.application is None:
                _check_bind(given["bind"], health_bind)
            if health_bind:
                addresses.check_usable(health_bind)
        except addresses.AddressError as e:
            raise CommandError(f"the health server {e}") from e
        except ValueError as e:
            raise CommandError(str(e)) from e
        path = {"PYTHONPATH": os.pathsep.join(filter(None, _search_path()))}
        signs = LifeSigns.create()
        application = Child(
            "application",
            programs.application_argv(
                wsgi_app,
                asgi_app,
                words,
                health_bind=health_bind,
                run_dir=str(conf.run_dir or ""),
                signs=signs,
            ),
            # What a gunicorn.conf.py for a gunicorn alone binds too is the health server's.
            env={**path, "SENTINEL_HEALTH_BIND": ""},
            pass_fds=[*sockets.for_application(), signs.descriptor],
        )
        health = Child(
            "health server",
            programs.health_argv(health_bind, signs=signs),
            # systemd is to hear READY from the application alone
            env={**path, "NOTIFY_SOCKET": ""},
            pass_fds=[*sockets.for_health(), signs.descriptor],
        )
        preparation.begin()
        supervisor = Supervisor(
            application,
            health if health_bind else None,
            drain=preparation.mark_drain,
            drain_seconds=drain_seconds,
        )
        status, failure = supervisor.run()
        if lock is not None:
            lock.release()
        if failure is not None:
            # the last line, since what was said at the time is buried under others
            why = signs.words()
            raise CommandError(f"{failure}: {why}" if why else failure, returncode=status)
        sys.exit(status)


def _check_bind(bind: str, health_bind: str) -> None:
    """Raise ValueError unless the application can listen on ``--bind``, beside the other server."""
    try:
        mine = addresses.parse(bind)
    except addresses.AddressError as e:
        raise ValueError(f"--bind: the application {e}") from e
    if health_bind and addresses.overlap(health_bind, [mine]):
        raise ValueError(f"the application and the health server cannot both listen on {bind}")


def _count(text: str) -> int:
    """Return a whole number above 0, as an option's value. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


def _gunicorn_words(given: dict[str, Any]) -> list[str]:
    """Return the command line of gunicorn that the options stand for.

    Exits with gunicorn's own message where it does not know one.
    """
    words = []
    for name in ("config", "bind", "workers", "threads", "worker_class"):
        if given[name] is not None:
            words += [f"--{name.replace('_', '-')}", str(given[name])]
    words += given["gunicorn"]
    Config("%(prog)s [OPTIONS]", prog="serve --").parser().parse_args(words)
    return words


def _application_names() -> tuple[str, str]:
    """Return ``module:name`` of the WSGI and of the ASGI application, as settings name them.

    Where they do not, they are looked for beside the settings, as ``startproject``
    puts them.
    """
    package = os.environ["DJANGO_SETTINGS_MODULE"].rpartition(".")[0]
    names = []
    for setting, module in (("WSGI_APPLICATION", "wsgi"), ("ASGI_APPLICATION", "asgi")):
        dotted = getattr(settings, setting, None) or f"{package}.{module}.application".lstrip(".")
        before, _, name = dotted.rpartition(".")
        if not before:
            raise ValueError(f"{setting} must be a dotted path, not {dotted!r}")
        names.append(f"{before}:{name}")
    return names[0], names[1]


def _search_path() -> list[str]:
    """Return what the children's PYTHONPATH is to be: the folder of manage.py comes first."""
    return [os.path.abspath(sys.path[0]), os.environ.get("PYTHONPATH", "")]
