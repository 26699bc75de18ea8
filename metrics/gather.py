"""Bring together all that a scrape shows: the shared store and the collectors beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from prometheus_client import (
    REGISTRY as DEFAULT_REGISTRY,
)
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

from metrics import build_info, process_figures, shared
from metrics.collectors import Collect, CollectorGuard, QuickCollector
from metrics.exposition import Converted, convert
from metrics.registry import REGISTRY
from metrics.shared.model import Snapshot
from metrics.units import Units

logger = logging.getLogger(__name__)

_guard = CollectorGuard()
_units = Units()

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

    ``hidden`` are the places of the store's families that a function answers for in
    this process (``Gauge.set_function``), and which are therefore in ``others``.
    """

    snapshot: Snapshot | None
    hidden: frozenset[int]
    others: Converted
    left_out: tuple[str, ...]


def gather(deadline: float) -> Gathered:
    """Read the store and run the collectors of both registries.

    ``deadline`` is in seconds of `time.monotonic`; a collector that needs longer is
    left out. Whatever cannot be read is named in ``left_out``.
    """
    collectors = [(name, one, _sort_of(one)) for name, one in _collectors()]
    asking = {
        name for name, one, sort in collectors if sort is _Sort.VALUES and _asks_a_function(one)
    }
    # First what takes time, so that the figures of the store are the newest.
    guarded = _guard.run(
        [
            (name, one.collect)
            for name, one, sort in collectors
            if sort is _Sort.FOREIGN or name in asking
        ],
        deadline,
    )
    for name in guarded.asked:
        COLLECTOR_FAILURES.labels(name).inc(name in guarded.failed)
    store = shared.current()
    snapshot = None if store is None else _snapshot(store)
    unread = snapshot is shared.UNREADABLE
    if snapshot is not None:
        named = {one._name: one._unit for _, one, sort in collectors if sort is _Sort.VALUES}
        units = {name: unit for name, unit in named.items() if unit}
        snapshot = replace(snapshot, layout=_units.add(snapshot.layout, units))
    places = {} if snapshot is None else _places(snapshot)
    trusted: list[tuple[str, Collect]] = []
    for name, one, sort in collectors:
        if sort is _Sort.VALUES:
            if not unread and one._name not in places and name not in asking:
                trusted.append((name, one.collect))
        elif sort is _Sort.OURS or (sort is _Sort.ONE_PROCESS and snapshot is None):
            trusted.append((name, one.collect))
    quick = _guard.run_here(trusted)
    added: list[tuple[str, Collect]] = [("build_info", build_info.collect)]
    if snapshot is not None:
        workers = snapshot.workers
        added.append(("process_figures", lambda: process_figures.collect(workers)))
    ours = _guard.run_here(added)
    # What we add comes last: the first of a name keeps it.
    others = convert(quick.metrics + guarded.metrics + ours.metrics)
    failed = {**quick.failed, **guarded.failed, **ours.failed}
    left_out = [f"collector {name}: {reason}" for name, reason in failed.items()]
    if snapshot is not None:
        left_out += snapshot.left_out
    hidden = frozenset(
        place
        for name, one, _ in collectors
        if name in asking
        for place in places.get(one._name, ())
    )
    return Gathered(snapshot, hidden, others, (*left_out, *others.left_out))


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


def _collectors() -> Iterator[tuple[str, Any]]:
    """Yield the collectors of both registries, each with a name of its own.

    A registry's own ``collect`` runs them one after another and ends at the first that
    raises, so its list of them, which is private, is read instead.
    """
    times: dict[str, int] = {}
    for registry in (REGISTRY, DEFAULT_REGISTRY):
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
    OURS = "known, quick and harmless"
    ONE_PROCESS = "of the answering process alone: jumps about where there are several"
    FOREIGN = "other people's code"


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
    if issubclass(kind, (Enum_, Info, PlatformCollector, QuickCollector, _TargetInfo)):
        return _Sort.OURS
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
