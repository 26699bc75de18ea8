"""Serve the health endpoints, the metrics and the prober: a sidecar, or a unit of its own."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from health.supervisor import addresses, environment, programs, systemd_sockets


class Command(BaseCommand):
    """Become the health server."""

    help = (
        "Serve /health, /ready, /started and /metrics on a port of their own, and run the "
        "prober, beside a gunicorn that somebody else starts."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument(
            "--bind", metavar="ADDRESS", help="default: SENTINEL_HEALTH_BIND, else 127.0.0.1:9201"
        )

    def handle(self, *args: Any, **given: Any) -> None:
        """Replace this process, which holds all of Django, by the small arbiter."""
        environment.provide_temporary_directory()
        bind = given["bind"] or environment.health_bind()
        sockets = systemd_sockets.take()
        if (only := sockets.health or sockets.application) is not None:
            bind = f"fd://{only}"
        if not bind:
            raise CommandError("SENTINEL_HEALTH_BIND is set to nothing; name an address by --bind")
        try:
            addresses.check_usable(bind)
        except addresses.AddressError as e:
            raise CommandError(f"the health server {e}") from e
        search = [os.path.abspath(sys.path[0]), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, search))
        argv = programs.health_argv(bind)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(argv[0], argv)
