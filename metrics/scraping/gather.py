"""Bring together all that a scrape shows: the shared store and the collectors beside it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    Metric,
    PlatformCollector,
    ProcessCollector,
    Summary,
)
from prometheus_client import Enum as Enum_
from prometheus_client.core import GaugeMetricFamily

from metrics import shared
from metrics.collectors import build_info, process_figures
from metrics.exposition import Converted, convert
from metrics.registries import REGISTRY
from metrics.samples import Snapshot
from metrics.scraping import scrape_socket
from metrics.scraping.coalesce import SharedFlight
from metrics.scraping.guard import Collect, CollectorGuard, QuickCollector
from metrics.scraping.own_figures import OwnFigures
from metrics.scraping.units import Units
from metrics.system.process_kind import process_kind

logger = logging.getLogger(__name__)

NOBODY_ANSWERED = (
    "collectors, Info, Enum and callback gauges of the application: none of its processes answered"
)

_guard = CollectorGuard()
_units = Units()
_asks = False

shared.exempt("sentinel_collector_failures_total")
COLLECTOR_FAILURES = Counter(
    "sentinel_collector_failures_total",
    "Times that a collector was left out of a scrape because it failed or took too long",
    ["collector"],
    registry=REGISTRY,
)


@dataclass(frozen=True, slots=True)
class Gathered:
    """One moment's figures: those of the store, and those of everything else.

    ``hidden`` are the places of the store's families that a function answers for
    (``Gauge.set_function``), and which are therefore in ``others``.
    """

    snapshot: Snapshot | None
    hidden: frozenset[int]
    others: Converted
    left_out: tuple[str, ...]


def show_the_applications() -> None:
    """Let this process's scrapes show the application's collectors, never its own.

    For a process that runs none of the application: one that does is asked at each
    scrape (see `metrics.scraping.scrape_socket`). It changes nothing without a shared store, nor in
    a process that answers others.
    """
    global _asks
    _asks = True


def answer_scrapes() -> None:
    """Let processes that run none of the application ask this one, which does.

    To be called in each process that serves the application, after its fork; the
    gunicorn hooks and `ActivityMiddleware` do so. Never raises; without a shared store it
    does nothing.
    """
    if shared.current() is not None:
        _listener.start()


def gather(deadline: float) -> Gathered:
    """Read the store, and run the collectors of the shared registries, or have them run.

    ``deadline`` is in seconds of `time.monotonic`; a collector that needs longer is
    left out. Whatever cannot be read is named in ``left_out``.
    """
    listed = _listed()
    store = shared.current()
    left_out: list[str] = []
    answered_by: tuple[int | None, str] | None
    # First what takes time, so that the figures of the store are the newest.
    asks = _asks and store is not None and not _listener.is_started
    if store is None or not asks:
        own, snapshot = _own_flight.run(lambda: _own(deadline), deadline)
        answered_by = None if store is None else (store.lane_number, process_kind())
    elif answer := scrape_socket.ask(store, store.workers(), deadline):
        worker, own = answer
        answered_by = worker.number, worker.kind
        snapshot = _snapshot(store)
    else:
        own = OwnFigures(asked=frozenset(one._name for _, one in _callbacks(listed)))
        answered_by = None
        snapshot = _snapshot(store)
        left_out.append(NOBODY_ANSWERED)
    ours: list[tuple[str, Collect]] = [
        (name, one.collect) for name, one, sort in listed if sort is _Sort.OURS
    ]
    ours.append(("build_info", build_info.collect))
    places = {} if snapshot is None else _places(snapshot)
    if snapshot is not None:
        units = {**own.units, **_units_of(listed)}
        snapshot = replace(snapshot, layout=_units.add(snapshot.layout, units))
        workers = snapshot.workers
        ours.append(("process_figures", lambda: process_figures.collect(workers)))
        left_out += snapshot.left_out
        if asks:
            known = {*places, *own.asked, *(family.name for family in own.figures.families)}
            ours.append(("families", lambda: _without_series(listed, known)))
    if answered_by is not None:
        by = answered_by
        ours.append(("answered_by", lambda: _answered_by(*by)))
    collected = _guard.run_here(ours)
    # What we add comes last: the first of a name keeps it.
    others = Converted()
    others.extend(own.figures)
    others.extend(convert(collected.metrics))
    left_out += [f"collector {name}: {reason}" for name, reason in collected.failed.items()]
    hidden = frozenset(place for name in own.asked for place in places.get(name, ()))
    return Gathered(snapshot, hidden, others, (*left_out, *others.left_out))


def _own(deadline: float) -> tuple[OwnFigures, Snapshot | None]:
    """Return what this process alone knows, and what the store held after that."""
    listed = _listed()
    callbacks = dict(_callbacks(listed))
    guarded = _guard.run(
        [
            (name, one.collect)
            for name, one, sort in listed
            if sort is _Sort.FOREIGN or name in callbacks
        ],
        deadline,
    )
    for name in guarded.asked:
        COLLECTOR_FAILURES.labels(name).inc(name in guarded.failed)
    store = shared.current()
    snapshot = None if store is None else _snapshot(store)
    unread = snapshot is shared.UNREADABLE
    places = {} if snapshot is None else _places(snapshot)
    trusted: list[tuple[str, Collect]] = []
    for name, one, sort in listed:
        if sort is _Sort.VALUES:
            if not unread and one._name not in places and name not in callbacks:
                trusted.append((name, one.collect))
        elif sort is _Sort.STATE or (sort is _Sort.ONE_PROCESS and snapshot is None):
            trusted.append((name, one.collect))
    quick = _guard.run_here(trusted)
    figures = convert(quick.metrics + guarded.metrics)
    failed = {**quick.failed, **guarded.failed}
    figures.left_out += [f"collector {name}: {reason}" for name, reason in failed.items()]
    asked = frozenset(one._name for one in callbacks.values())
    return OwnFigures(figures, asked, _units_of(listed)), snapshot


def _answer(deadline: float, with_process_figures: bool) -> OwnFigures:
    """Return this process's own figures, for another process's scrape."""
    own, snapshot = _own_flight.run(lambda: _own(deadline), deadline)
    if not with_process_figures or snapshot is None:
        return own
    figures = Converted()
    figures.extend(own.figures)
    figures.extend(convert(process_figures.collect(snapshot.workers)))
    return replace(own, figures=figures)


def _without_series(listed: Sequence[_Listed], known: Collection[str]) -> Iterable[Metric]:
    """Yield the families of metrics that nobody has made a series of yet."""
    for _name, one, sort in listed:
        if sort is _Sort.VALUES and one._name not in known:
            yield from (metric for metric in one.collect() if not metric.samples)


def _answered_by(number: int | None, kind: str) -> Iterable[Metric]:
    family = GaugeMetricFamily(
        "sentinel_scrape_answered_by",
        "The process whose collectors, Info, Enum and callback gauges this scrape shows; always 1",
        labels=["worker", "kind"],
    )
    family.add_metric(["" if number is None else str(number), kind], 1)
    yield family


def _snapshot(store: shared.Store) -> Snapshot:
    """Read the store; should even that fail, the rest of the scrape is still served."""
    try:
        return store.snapshot()
    except Exception:
        logger.exception("The shared metrics store cannot be read.")
        return shared.UNREADABLE


def _places(snapshot: Snapshot) -> Mapping[str, list[int]]:
    """Return where each family of the store stands; a name may be there more than once."""
    places: dict[str, list[int]] = {}
    for place, family in enumerate(snapshot.layout.families):
        places.setdefault(family.name, []).append(place)
    return places


def _listed() -> list[_Listed]:
    return [(name, one, _sort_of(one)) for name, one in _collectors()]


def _callbacks(listed: Iterable[_Listed]) -> Iterator[tuple[str, Any]]:
    """Yield the gauges that take their values from ``set_function``."""
    for name, one, sort in listed:
        if sort is _Sort.VALUES and _asks_a_function(one):
            yield name, one


def _units_of(listed: Iterable[_Listed]) -> dict[str, str]:
    named = {one._name: one._unit for _, one, sort in listed if sort is _Sort.VALUES}
    return {name: unit for name, unit in named.items() if unit}


def _collectors() -> Iterator[tuple[str, Any]]:
    """Yield the collectors of all shared registries, each with a name of its own.

    A registry's own ``collect`` runs them one after another and ends at the first that
    raises, so its list of them, which is private, is read instead.
    """
    times: dict[str, int] = {}
    for registry in shared.registries():
        with registry._lock:
            collectors: list[Any] = list(registry._collector_to_names)
        if registry.get_target_info():
            collectors.insert(0, _TargetInfo(registry))
        for collector in collectors:
            name = _name(collector)
            times[name] = number = times.get(name, 0) + 1
            yield (name if number == 1 else f"{name} ({number})"), collector


@dataclass(frozen=True, slots=True)
class _TargetInfo:
    registry: CollectorRegistry

    def collect(self) -> Iterable[Metric]:
        """Return the registry's ``target_info``."""
        return [self.registry._target_info_metric()]  # type: ignore[no-untyped-call]


class _Sort(Enum):
    """What is to be done with a collector."""

    VALUES = "in the store if there is one"
    OURS = "the same in every process, quick and harmless"
    STATE = "of one process, quick and harmless"
    ONE_PROCESS = "of the answering process alone: jumps about where there are several"
    FOREIGN = "other people's code"


_Listed = tuple[str, Any, _Sort]
"""A collector's name, itself, and what is to be done with it."""

_sorts: dict[type, _Sort] = {}


def _sort_of(collector: Any) -> _Sort:
    """Return what is to be done with a collector, asking once for each class."""
    kind = type(collector)
    if kind is ProcessCollector and not _is_of_this_process(collector):
        return _Sort.FOREIGN
    if kind not in _sorts:
        _sorts[kind] = _sort(kind)
    return _sorts[kind]


def _sort(kind: type) -> _Sort:
    if issubclass(kind, (Counter, Gauge, Histogram, Summary)):
        return _Sort.VALUES
    if issubclass(kind, (ProcessCollector, GCCollector)):
        return _Sort.ONE_PROCESS
    if issubclass(kind, (PlatformCollector, QuickCollector)):
        return _Sort.OURS
    if issubclass(kind, (Enum_, Info, _TargetInfo)):
        return _Sort.STATE
    return _Sort.FOREIGN


def _is_of_this_process(collector: Any) -> bool:
    """Whether a ProcessCollector is the default one, which `process_figures` stands for."""
    own = getattr(collector._pid, "__module__", "") == ProcessCollector.__module__
    return own and not collector._namespace  # a pid of the user's may be a call that fails


def _name(collector: Any) -> str:
    """Name a collector for people: its metric, or else its class."""
    if isinstance(name := getattr(collector, "_name", None), str):
        return name
    kind = collector if isinstance(collector, type) else type(collector)
    return f"{kind.__module__}.{kind.__qualname__}"


def _asks_a_function(metric: Any) -> bool:
    """Whether a gauge, or a child of it, takes its value from ``set_function``."""
    if metric._type != "gauge":
        return False
    children = list(getattr(metric, "_metrics", {}).values())
    return any("_child_samples" in vars(one) for one in (metric, *children))


_own_flight: SharedFlight[tuple[OwnFigures, Snapshot | None]] = SharedFlight()
_listener = scrape_socket.Listener(_answer)
