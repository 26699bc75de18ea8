"""Answer a scrape: the one runner behind the view, the command and the admin page."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from metrics import shared
from metrics.exposition import TEXT_0_0_4, Converted, Format, Template
from metrics.samples import Family, Layout, SampleKey, Snapshot
from metrics.scraping.coalesce import SharedFlight
from metrics.scraping.created import CreatedSamples
from metrics.scraping.gather import Gathered, gather
from metrics.scraping.templates import _Templates
from metrics.shared.reading import created_times

logger = logging.getLogger(__name__)

TIME_LIMIT = 10.0
"""Seconds that a scrape may take when its client does not say: Prometheus' own default."""

_REST = 0.05
"""What a scrape whose time is up may take beyond it: a client waits a ninth longer."""

_flight: SharedFlight[Gathered] = SharedFlight()


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


def render(
    fmt: Format = TEXT_0_0_4,
    *,
    names: Collection[str] | None = None,
    created: bool = False,
    time_limit: float = TIME_LIMIT,
) -> Rendered:
    """Return what a scrape answers, from all processes.

    ``names`` keeps only families and samples of these names; ``created`` adds
    ``_created`` samples, which tell when each series was made. Collectors that need
    longer than ``time_limit`` seconds are left out.
    """
    gathered = _gather(time_limit)
    options: dict[str, Any] = {
        "names": None if names is None else frozenset(names),
        "created": created,
    }
    pieces: list[str] = []
    left_out = list(gathered.left_out)
    taken = frozenset({"sentinel_scrape_left_out"})  # whose line comes last
    snapshot, others = gathered.snapshot, gathered.others
    if created and snapshot is not None:
        snapshot = _with_created(snapshot, left_out)
    if snapshot is not None:
        prepare = partial(
            _templates.get, "store", snapshot.layout, fmt, hidden=gathered.hidden, **options
        )
        ready = _fitting(prepare, snapshot.values, frozenset())
        pieces.append(ready.fill(snapshot.values, snapshot.exemplars))
        left_out += ready.left_out
        taken |= ready.claims
    prepare = partial(_templates.get, "collectors", _layout_of(others), fmt, taken=taken, **options)
    malformed = frozenset(others.malformed if fmt.is_openmetrics else ())
    ready = _fitting(prepare, others.values, malformed)
    pieces.append(ready.fill(others.values, others.exemplars, others.timestamps))
    left_out += ready.left_out
    ready = _templates.get("left out", _LEFT_OUT, fmt, **options)
    pieces.append(ready.fill([float(len(left_out))]))
    if fmt.is_openmetrics:
        pieces.append("# EOF\n")
    _log_new(left_out)
    return Rendered("".join(pieces), tuple(left_out))


def families(time_limit: float = TIME_LIMIT) -> list[FamilyFigures]:
    """Return all families with their values, for pages and for formats of others.

    Counters' names have no ``_total``, as in OpenMetrics.
    """
    return read(time_limit)[0]


def read(time_limit: float = TIME_LIMIT) -> tuple[list[FamilyFigures], tuple[str, ...]]:
    """Return what `families` does, and in plain words what is missing from it."""
    gathered = _gather(time_limit)
    result: list[FamilyFigures] = []
    snapshot = gathered.snapshot
    if snapshot is not None:
        listed = _with_values(snapshot.layout.families, snapshot.values)
        result += [one for place, one in enumerate(listed) if place not in gathered.hidden]
    result += _with_values(gathered.others.families, gathered.others.values)
    return result, gathered.left_out


def _with_created(snapshot: Snapshot, left_out: list[str]) -> Snapshot:
    store = shared.current()
    if store is None:
        return snapshot
    try:
        return _created_samples.add(snapshot, created_times.read(store.directory))
    except FileNotFoundError:  # nothing has been stored yet
        return snapshot
    except Exception as e:
        logger.exception("The times at which series were made cannot be read.")
        left_out.append(f"the times at which series were made: {e}")
        return snapshot


def _gather(time_limit: float) -> Gathered:
    deadline = time.monotonic() + time_limit
    # Who has waited in vain for his turn gives collectors that do not hang a little time.
    rest = time_limit * _REST
    return _flight.run(lambda: gather(max(deadline, time.monotonic() + rest)), deadline)


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


_templates = _Templates()
_created_samples = CreatedSamples()
_logged: set[str] = set()
_other_layout = Layout(())

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


def _layout_of(others: Converted) -> Layout:
    """Return the layout of collectors' families: the last one while nothing has changed."""
    global _other_layout
    families = tuple(others.families)
    layout = _other_layout
    if families != layout.families:
        layout = _other_layout = Layout(families)
    return layout


def _log_new(left_out: Sequence[str]) -> None:
    """Log what is missing once, and again when it comes back after having been there."""
    _logged.intersection_update(left_out)
    for text in left_out:
        if text not in _logged and len(_logged) < 1000:
            _logged.add(text)
            logger.warning("Left out of the scrape: %s", text)
