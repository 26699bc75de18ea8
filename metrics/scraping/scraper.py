"""Answer a scrape: the one runner behind the view, the command and the admin page."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from metrics import shared
from metrics.conf import conf
from metrics.exposition import TEXT_0_0_4, Converted, Format, Template
from metrics.samples import Family, Layout, SampleKey, Snapshot
from metrics.scraping.coalesce import Coalescer
from metrics.scraping.created import CreatedSamples
from metrics.scraping.gatherer import GATHERER, Gathered, Gatherer
from metrics.scraping.options import TIME_LIMIT, Options
from metrics.scraping.templates import Templates
from metrics.shared.reading import created_times
from metrics.system.failure_log import FailureLog

logger = logging.getLogger(__name__)

_REST = 0.05
"""What a scrape whose time is up may take beyond it: a client waits a ninth longer."""

_LEFT_OUT = Layout(
    (
        Family(
            "sentinel_scrape_left_out",
            "gauge",
            "Series, families and collectors missing from this very scrape; see the log",
            "",
            (SampleKey("sentinel_scrape_left_out", ()),),
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A scrape's text, and in plain words what is missing from it."""

    text: str
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FamilyFigures:
    """A family with the value of each of its samples."""

    family: Family
    values: Sequence[float]

    @property
    def samples(self) -> Iterator[tuple[SampleKey, float]]:
        """Yield each sample with its value."""
        return zip(self.family.samples, self.values, strict=True)


class Figures(NamedTuple):
    """All families with their values, and in plain words what is missing from them."""

    families: list[FamilyFigures]
    left_out: tuple[str, ...]


class Scraper:
    """Answers scrapes of what a gatherer brings together.

    Scrapes that wait at the same time share the work. ``options`` are those of a scrape
    that names none.
    """

    def __init__(self, gatherer: Gatherer = GATHERER, options: Options = Options()) -> None:  # noqa: B008 - frozen
        self.options = options
        self._gatherer = gatherer
        self._coalescer: Coalescer[Gathered] = Coalescer()
        self._templates = Templates()
        self._created_samples = CreatedSamples()
        self._failures = FailureLog(logger)
        self._layout_of_others = Layout(())

    def render(self, fmt: Format = TEXT_0_0_4, options: Options | None = None) -> Rendered:
        """Return what a scrape answers in the format ``fmt``, from all processes."""
        options = options or self.options
        constant = conf.labels
        gathered = self._gather(options.time_limit)
        pieces: list[str] = []
        left_out = list(gathered.left_out)
        taken = frozenset({"sentinel_scrape_left_out"})  # whose line comes last
        snapshot, others = gathered.snapshot, gathered.others
        if options.created and snapshot is not None:
            snapshot = self._with_created(snapshot, left_out)
        prepare: Callable[..., Template]
        if snapshot is not None:
            prepare = partial(
                self._templates.get,
                "store",
                snapshot.layout,
                fmt,
                options,
                constant,
                hidden=gathered.hidden,
            )
            ready = _fitting(prepare, snapshot.values, frozenset())
            pieces.append(ready.fill(snapshot.values, snapshot.exemplars))
            left_out += ready.left_out
            taken |= ready.claims
        prepare = partial(
            self._templates.get,
            "collectors",
            self._layout(others),
            fmt,
            options,
            constant,
            taken=taken,
        )
        malformed = frozenset(others.malformed if fmt.is_openmetrics else ())
        ready = _fitting(prepare, others.values, malformed)
        pieces.append(ready.fill(others.values, others.exemplars, others.timestamps))
        left_out += ready.left_out
        ready = self._templates.get("left out", _LEFT_OUT, fmt, options, constant)
        pieces.append(ready.fill([float(len(left_out))]))
        if fmt.is_openmetrics:
            pieces.append("# EOF\n")
        return Rendered("".join(pieces), tuple(left_out))

    def read(self, time_limit: float = TIME_LIMIT) -> Figures:
        """Return all families with their values, for pages and for formats of others.

        Counters' names have no ``_total``, as in OpenMetrics.
        """
        gathered = self._gather(time_limit)
        result: list[FamilyFigures] = []
        snapshot = gathered.snapshot
        if snapshot is not None:
            listed = _with_values(snapshot.layout.families, snapshot.values)
            result += [one for place, one in enumerate(listed) if place not in gathered.hidden]
        result += _with_values(gathered.others.families, gathered.others.values)
        return Figures(result, gathered.left_out)

    def _gather(self, time_limit: float) -> Gathered:
        deadline = time.monotonic() + time_limit
        # A scrape whose time is up still gives collectors that do not hang a little.
        rest = time_limit * _REST
        return self._coalescer.run(
            lambda: self._gatherer.gather(max(deadline, time.monotonic() + rest)), deadline
        )

    def _with_created(self, snapshot: Snapshot, left_out: list[str]) -> Snapshot:
        store = shared.current()
        if store is None:
            return snapshot
        try:
            return self._created_samples.add(snapshot, created_times.read(store.directory))
        except FileNotFoundError:  # nothing has been stored yet
            return snapshot
        except Exception as e:
            logger.exception("The times at which series were made cannot be read.")
            left_out.append(f"the times at which series were made: {e}")
            return snapshot

    def _layout(self, others: Converted) -> Layout:
        """Return the layout of collectors' families: the last one while nothing has changed."""
        families = tuple(others.families)
        layout = self._layout_of_others
        if families != layout.families:
            layout = self._layout_of_others = Layout(families)
        return layout

    def log(self, left_out: Sequence[str]) -> None:
        """Log what a scrape left out, once, and again when it comes back after an end."""
        self._failures.all_ended(but=left_out)
        for text in left_out:
            self._failures.failed(
                "Left out of the scrape: %s", text, key=text, level=logging.WARNING
            )


def _fitting(
    prepare: Callable[..., Template], values: Sequence[float], malformed: frozenset[int]
) -> Template:
    """Return a template that can hold ``values``: OpenMetrics refuses some in some types."""
    first = prepare(untyped=malformed)
    unfit = first.unfit(values)
    return prepare(untyped=malformed | unfit) if unfit else first


def _with_values(families: Sequence[Family], values: Sequence[float]) -> list[FamilyFigures]:
    result, start = [], 0
    for family in families:
        end = start + len(family.samples)
        result.append(FamilyFigures(family, values[start:end]))
        start = end
    return result


SCRAPER = Scraper()
"""What `/metrics`, ``dump_metrics`` and the admin pages show."""
