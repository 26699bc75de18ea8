"""``manage.py probe_backends``: run every probe once, or be the prober in the foreground."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from health import logs
from health.conf import conf
from health.prober.leader import Prober
from health.prober.once import probe_once


class Command(BaseCommand):
    """Probe the configured backends from this process."""

    help = "Run every probe once and print what it showed; exit with 1 if one failed."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take names of backends, and ``--loop``."""
        parser.add_argument("names", nargs="*", metavar="NAME", help="only these backends")
        parser.add_argument("--loop", action="store_true", help="probe until stopped")

    def handle(self, *args: Any, **options: Any) -> None:
        """Probe and print, or probe for good."""
        backends = conf.backends
        if unknown := set(options["names"]) - set(backends):
            raise CommandError(
                f"SENTINEL_BACKENDS has no {', '.join(sorted(unknown))};"
                f" it has {', '.join(backends) or 'none'}"
            )
        if options["loop"]:
            if options["names"]:
                raise CommandError("--loop probes all backends: leave out the names")
            self._loop()
            return
        chosen = {name: backends[name] for name in options["names"] or backends}
        seen = probe_once(chosen)
        width = max((len(name) for name in seen), default=0)
        for name, observation in seen.items():
            word = "healthy" if observation.healthy else "unhealthy"
            took = f"{(observation.latency or 0) * 1000:.1f} ms"
            line = f"{name:<{width}}  {word:<9}  {took:>10}  {observation.error or ''}"
            self.stdout.write(line.rstrip())
        if not all(observation.healthy for observation in seen.values()):
            sys.exit(1)

    def _loop(self) -> None:
        logs.ensure_handler()
        prober = Prober()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: prober.stop())
        prober.run_forever()
