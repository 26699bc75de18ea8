"""``manage.py health_status``: a table or JSON of the backends."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from health.core import verdict_text
from health.core.policy import UNKNOWN
from health.readiness.assessment import assess


class Command(BaseCommand):
    """Print the verdict on readiness; exit with 0 ready, 1 not ready, 2 unknown or stale."""

    help = "Say whether this service is ready: 0 ready, 1 not ready, 2 unknown or stale."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take what ``sentinel-health`` takes."""
        parser.add_argument(
            "--format", choices=("table", "json"), default="table", help="table by default"
        )
        for option, metavar, text in (
            ("--exclude", "NAME", "pass this backend over; may come several times"),
            ("--tag", "TAG", "count only backends with this tag; may come several times"),
        ):
            parser.add_argument(option, action="append", default=[], metavar=metavar, help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print and exit."""
        try:
            verdict = assess(exclude=options["exclude"], tags=options["tag"])
        except ImproperlyConfigured as e:
            raise CommandError(str(e), returncode=verdict_text.EXIT_CODES[UNKNOWN]) from e
        render = verdict_text.as_json if options["format"] == "json" else verdict_text.as_table
        self.stdout.write(render(verdict))
        if code := verdict_text.EXIT_CODES[verdict.status]:
            sys.exit(code)
