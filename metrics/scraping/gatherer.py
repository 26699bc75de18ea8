"""Bring together all that a scrape shows: the shared store and the collectors beside it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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
from metrics.collectors.quick import QuickCollector
from metrics.exposition import Converted, convert
from metrics.registries import REGISTRY
from metrics.samples import Snapshot
from metrics.scraping import scrape_socket
from metrics.scraping.coalesce import Coalescer
from metrics.scraping.guard import Collect, CollectorGuard
from metrics.scraping.own_figures import OwnFigures
from metrics.scraping.units import Units
from metrics.shared.reading.reader import UNREADABLE
from metrics.system.process_kind import process_kind

logger = logging.getLogger(__name__)

NOBODY_ANSWERED = (
    "collectors, Info, Enum and callback gauges of the application: none of its processes answered"
)

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

    ``hidden`` are the places of the store's families that are not to be shown: of those
    that a function answers for (``Gauge.set_function``), which are therefore in ``others``,
    and of those of other registries.
    """

    snapshot: Snapshot | None
    hidden: frozenset[int]
    others: Converted
    left_out: tuple[str, ...]


class Gatherer:
    """Reads the store, and runs the collectors of some registries.

    Without ``registries``: of all that the service shares, with the figures of its
    processes. With ``registries``: of these alone; what is in one that is not shared is
    this process's.
    """

    def __init__(self, *registries: CollectorRegistry) -> None:
        self._chosen = registries
        self._guard = CollectorGuard()
        self._units = Units()
        self._coalescer: Coalescer[tuple[OwnFigures, Snapshot | None]] = Coalescer()
        self._listener = scrape_socket.Listener(self._answer)
        self._asks = False

    def ask_others(self) -> None:
        """Show the application's collectors from now on, never those of this process.

        For a process that runs none of the application: one that does is asked at each
        scrape (see `metrics.scraping.scrape_socket`). It changes nothing without a shared
        store, nor in a process that answers others.
        """
        self._asks = True

    def answer_others(self) -> None:
        """Let processes that run none of the application ask this one, which does.

        To be called in each process that serves the application, after its fork; the
        gunicorn hooks and `ActivityMiddleware` do so. Never raises; without a shared store
        it does nothing.
        """
        if shared.current() is not None:
            self._listener.start()

    def gather(self, deadline: float) -> Gathered:
        """Read the store, and run the collectors, or have them run by another process.

        ``deadline`` is in seconds of `time.monotonic`; a collector that needs longer is
        left out. Whatever cannot be read is named in ``left_out``.
        """
        store = self._store()
        listed = self._listed()
        left_out: list[str] = []
        answered_by: tuple[int | None, str] | None = None
        asks = self._asks and store is not None and not self._listener.is_started
        # First what takes time, so that the figures of the store are the newest.
        if store is None or not asks:
            own, snapshot = self._coalescer.run(lambda: self._own(deadline), deadline)
            if store is not None:
                answered_by = store.lane_number, process_kind()
        else:
            if answer := scrape_socket.ask(store, store.workers(), deadline):
                worker, own = answer
                answered_by = worker.number, worker.kind
            else:
                own = OwnFigures(asked=frozenset(listed.callbacks))
                left_out.append(NOBODY_ANSWERED)
            snapshot = _snapshot(store)
        places = _places(snapshot)
        ours = list(listed.ours)
        if not self._chosen:
            ours.append(("build_info", build_info.collect))
        if snapshot is not None:
            units = {**own.units, **listed.units}
            snapshot = replace(snapshot, layout=self._units.add(snapshot.layout, units))
            left_out += snapshot.left_out
            if not self._chosen:
                workers = snapshot.workers
                ours.append(("process_figures", lambda: process_figures.collect(workers)))
            if asks:
                known = {*places, *own.asked, *(family.name for family in own.figures.families)}
                ours.append(("families", lambda: listed.without_series(known)))
        if answered_by is not None and not self._chosen:
            by = answered_by
            ours.append(("answered_by", lambda: _answered_by(*by)))
        collected = self._guard.run_here(ours)
        # What we add comes last: the first of a name keeps it.
        others = Converted()
        others.extend(own.figures)
        others.extend(convert(collected.metrics))
        left_out += [f"collector {name}: {reason}" for name, reason in collected.failed.items()]
        hidden = {place for name in own.asked for place in places.get(name, ())}
        if self._chosen:
            hidden.update(
                place for name in places.keys() - listed.stored() for place in places[name]
            )
        return Gathered(snapshot, frozenset(hidden), others, (*left_out, *others.left_out))

    def _own(self, deadline: float) -> tuple[OwnFigures, Snapshot | None]:
        """Return what this process alone knows, and what the store held after that."""
        listed = self._listed()
        guarded = self._guard.run(listed.guarded, deadline)
        for name in guarded.asked:
            COLLECTOR_FAILURES.labels(name).inc(name in guarded.failed)
        store = self._store()
        snapshot = None if store is None else _snapshot(store)
        here = self._guard.run_here(list(listed.beside(snapshot)))
        figures = convert(here.metrics + guarded.metrics)
        failed = {**here.failed, **guarded.failed}
        figures.left_out += [f"collector {name}: {reason}" for name, reason in failed.items()]
        return OwnFigures(figures, frozenset(listed.callbacks), listed.units), snapshot

    def _answer(self, deadline: float, with_process_figures: bool) -> OwnFigures:
        """Return this process's own figures, for another process's scrape."""
        own, snapshot = self._coalescer.run(lambda: self._own(deadline), deadline)
        if not with_process_figures or snapshot is None:
            return own
        figures = Converted()
        figures.extend(own.figures)
        figures.extend(convert(process_figures.collect(snapshot.workers)))
        return replace(own, figures=figures)

    def _store(self) -> shared.Store | None:
        if self._chosen and not any(map(shared.is_shared, self._chosen)):
            return None
        return shared.current()

    def _listed(self) -> _Listed:
        """Sort the collectors of the registries by what is to be done with them."""
        listed = _Listed()
        for name, collector, is_shared in self._collectors():
            listed.add(name, collector, is_shared=is_shared)
        return listed

    def _collectors(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield the collectors, each with a name of its own, and whether they are shared.

        A registry's own ``collect`` runs them one after another and ends at the first that
        raises, so its list of them, which is private, is read instead.
        """
        times: dict[str, int] = {}
        for registry in self._chosen or shared.registries():
            is_shared = shared.is_shared(registry)
            with registry._lock:
                collectors: list[Any] = list(registry._collector_to_names)
            if registry.get_target_info():
                collectors.insert(0, _TargetInfo(registry))
            for collector in collectors:
                name = _name(collector)
                times[name] = number = times.get(name, 0) + 1
                yield (name if number == 1 else f"{name} ({number})"), collector, is_shared


class _Sort(Enum):
    """What is to be done with a collector."""

    VALUES = "in the store if there is one"
    OURS = "the same in every process, quick and harmless"
    STATE = "of one process, quick and harmless"
    ONE_PROCESS = "of the answering process alone: jumps about where there are several"
    FOREIGN = "other people's code"


_Named = tuple[str, Collect]


@dataclass(slots=True)
class _Listed:
    """Collectors, each with its name, by what is to be done with them."""

    ours: list[_Named] = field(default_factory=list)
    guarded: list[_Named] = field(default_factory=list)
    quick: list[tuple[_Sort, str, _Named]] = field(default_factory=list)
    """What neither waits nor fails, and the family's name of what is in the store."""
    callbacks: list[str] = field(default_factory=list)
    """Families of gauges that take their values from ``set_function``; they are guarded."""
    units: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, collector: Any, *, is_shared: bool) -> None:
        """Put a collector where it belongs."""
        named = name, collector.collect
        match _sort_of(collector):
            case _Sort.OURS:
                self.ours.append(named)
            case _Sort.STATE:
                self.quick.append((_Sort.STATE, "", named))
            case _Sort.ONE_PROCESS:
                self.quick.append((_Sort.ONE_PROCESS, "", named))
            case _Sort.FOREIGN:
                self.guarded.append(named)
            case _Sort.VALUES:
                family = collector._name
                if collector._unit:
                    self.units[family] = collector._unit
                if _asks_a_function(collector):
                    self.callbacks.append(family)
                    self.guarded.append(named)
                else:
                    sort = _Sort.VALUES if is_shared else _Sort.STATE
                    self.quick.append((sort, family, named))

    def stored(self) -> set[str]:
        """Return the families whose values are in the store if there is one."""
        return {family for sort, family, _ in self.quick if sort is _Sort.VALUES}

    def beside(self, snapshot: Snapshot | None) -> Iterator[_Named]:
        """Yield those of ``quick`` whose figures ``snapshot`` lacks."""
        places = _places(snapshot)
        for sort, family, named in self.quick:
            match sort:
                case _Sort.ONE_PROCESS if snapshot is not None:
                    continue
                case _Sort.VALUES if snapshot is UNREADABLE or family in places:
                    continue
            yield named

    def without_series(self, known: Collection[str]) -> Iterator[Metric]:
        """Yield the families of metrics that nobody has made a series of yet."""
        for sort, family, (_name, collect) in self.quick:
            if sort is _Sort.VALUES and family not in known:
                yield from (metric for metric in collect() if not metric.samples)


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
        return UNREADABLE


def _places(snapshot: Snapshot | None) -> Mapping[str, list[int]]:
    """Return where each family of the store stands; a name may be there more than once."""
    places: dict[str, list[int]] = {}
    for place, family in enumerate(snapshot.layout.families if snapshot is not None else ()):
        places.setdefault(family.name, []).append(place)
    return places


@dataclass(frozen=True, slots=True)
class _TargetInfo:
    registry: CollectorRegistry

    def collect(self) -> Iterable[Metric]:
        """Return the registry's ``target_info``."""
        return [self.registry._target_info_metric()]  # type: ignore[no-untyped-call]


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


GATHERER = Gatherer()
"""What `/metrics` shows: all registries that the service shares."""
