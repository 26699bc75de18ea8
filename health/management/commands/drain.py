"""``manage.py drain``: mark this host not ready, or ready again."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from health.conf import conf
from health.readiness import drain
from metrics import shared
from metrics.conf import conf as metrics_conf


class Command(BaseCommand):
    """Set or remove the drain mark."""

    help = "Make /ready answer 503 on this host, so that no new traffic comes."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take ``--undo``."""
        parser.add_argument("--undo", action="store_true", help="make this host ready again")

    def handle(self, *args: Any, **options: Any) -> None:
        """Set or remove the mark, and say so."""
        if conf.run_dir is None:
            raise CommandError(
                f"{metrics_conf.why_nothing_is_shared}, so other processes would not see the mark"
            )
        try:
            if options["undo"]:
                drain.unmark()
            else:
                drain.mark()
        except OSError as e:
            raise CommandError(str(e)) from e
        self.stdout.write("not draining" if options["undo"] else "draining")
        if (store := shared.current()) is not None and store.is_alone():
            self.stderr.write(
                f"warning: no process of the service uses {conf.run_dir}, so none sees this mark."
                f" {metrics_conf.where_others_may_be}"
            )
