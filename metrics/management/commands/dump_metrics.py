"""Print the metrics of all live processes, as a scrape would answer them."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from metrics import shared
from metrics.conf import conf
from metrics.exposition import OPENMETRICS_1_0_0, TEXT_0_0_4
from metrics.samples import Family
from metrics.scraping.gatherer import GATHERER
from metrics.scraping.options import Options
from metrics.scraping.scraper import SCRAPER, FamilyFigures

FORMATS = {"text": TEXT_0_0_4, "openmetrics": OPENMETRICS_1_0_0}


def _regex(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression: {e}") from e


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


class Command(BaseCommand):
    """Dump what GET /metrics answers, from a process of its own."""

    help = (
        "Print the metrics of all live processes of this host, as a scrape of /metrics would"
        " answer them. Exits with 1 and one line on stderr if that cannot be done."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--format",
            choices=["text", "openmetrics", "json"],
            default="text",
            help="text (Prometheus 0.0.4, the default), openmetrics (1.0.0) or json",
        )
        parser.add_argument(
            "--name",
            type=_regex,
            metavar="REGEX",
            help="only families and samples whose name the regular expression finds a match in",
        )
        parser.add_argument(
            "--output",
            type=Path,
            metavar="FILE",
            help="write to FILE instead of stdout: beside it first, then renamed, readable for"
            " all, as node_exporter's textfile collector wants it",
        )
        parser.add_argument(
            "--watch",
            type=_seconds,
            metavar="SECONDS",
            help="print again every SECONDS until interrupted",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Dump once, or again and again."""
        GATHERER.ask_others()
        store = shared.current()
        if store is None:
            self.stderr.write(
                f"{conf.why_nothing_is_shared}, so every process keeps its metrics to itself:"
                " these are this command's own."
            )
        elif not store.workers():
            self.stderr.write(
                f"No process has written to {store.directory} yet. {conf.where_others_may_be}"
            )
        try:
            while True:
                self._dump(options["format"], options["name"], options["output"])
                if options["watch"] is None:
                    return
                time.sleep(options["watch"])
        except KeyboardInterrupt:
            return

    def _dump(self, fmt: str, pattern: re.Pattern[str] | None, output: Path | None) -> None:
        try:
            text, left_out = self._text(fmt, pattern)
            if output is not None:
                self._write(output, text)
            else:
                self._print(text)
        except BrokenPipeError:  # `| head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None
        except OSError as e:
            raise CommandError(f"cannot dump the metrics: {e}") from e
        if pattern is not None and text.strip() in ("", "# EOF", "[]"):
            self.stderr.write(f"No metric has a name that {pattern.pattern!r} matches.")
        for reason in left_out:
            self.stderr.write(f"left out: {reason}")

    def _text(self, fmt: str, pattern: re.Pattern[str] | None) -> tuple[str, Collection[str]]:
        if fmt == "json":
            figures, left_out = SCRAPER.read()
            return as_json(figures, pattern), left_out
        names = None
        if pattern is not None:
            families = [figures.family for figures in SCRAPER.read().families]
            names = {
                key.name
                for family in families
                for key in family.samples
                if pattern.search(key.name)
            }
            names |= {family.name for family in families if pattern.search(text_name(family))}
        rendered = SCRAPER.render(
            FORMATS[fmt], Options(names=None if names is None else frozenset(names))
        )
        return rendered.text, rendered.left_out

    def _write(self, output: Path, text: str) -> None:
        try:
            write_whole(output, text.encode())
        except OSError as e:  # which names the file beside it
            raise CommandError(f"cannot write {output}: {e.strerror}") from e

    def _print(self, text: str) -> None:
        """Write the very bytes of a scrape: no translated line ends, no other encoding."""
        buffer = getattr(self.stdout, "buffer", None)
        if buffer is None:
            self.stdout.write(text, ending="")
            return
        buffer.write(text.encode())
        buffer.flush()


def as_json(figures: Collection[FamilyFigures], pattern: re.Pattern[str] | None) -> str:
    """Return families as a JSON list; what is not finite is spelled as a string.

    Names are those of the text format, so a counter's ends in ``_total``.
    """
    result = []
    constant = dict(conf.labels)
    for one in figures:
        samples = [
            {
                "name": key.name,
                "labels": {**constant, **dict(key.labels)},
                "value": value if math.isfinite(value) else _spell(value),
            }
            for key, value in one.samples
            if pattern is None or pattern.search(key.name)
        ]
        family = one.family
        name = text_name(family)
        if samples or pattern is None or pattern.search(name):
            result.append(
                {"name": name, "type": family.type, "help": family.help, "samples": samples}
            )
    return json.dumps(result, indent=2) + "\n"


def text_name(family: Family) -> str:
    """Return a family's name as the text format has it."""
    return family.name + ("_total" if family.type == "counter" else "")


def _spell(value: float) -> str:
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it, with the mode it had, or 0644.

    Raises OSError, and leaves what was there.
    """
    mode = 0o644
    with contextlib.suppress(FileNotFoundError):
        mode = path.stat().st_mode & 0o777
    fd, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, mode)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise
