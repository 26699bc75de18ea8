"""Bring together all that a scrape shows: the shared store and the collectors beside it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

from metrics import build_info, process_figures
from metrics.collectors import Collect, CollectorGuard
from metrics.exposition import Converted, convert
from metrics.registry import REGISTRY
from metrics.shared.model import Snapshot

_guard = CollectorGuard()

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
    store = _current_store()
    snapshot: Snapshot | None = store.snapshot() if store is not None else None
    shared = {} if snapshot is None else _places(snapshot)
    trusted: list[tuple[str, Collect]] = []
    foreign: list[tuple[str, Collect]] = []
    hidden: set[int] = set()
    for collector in _collectors():
        name, sort = _name(collector), _sort_of(collector)
        if sort is _Sort.VALUES:
            if _asks_a_function(collector):
                hidden.update(shared.get(name, ()))
                foreign.append((name, collector.collect))
            elif name not in shared:
                trusted.append((name, collector.collect))
        elif sort is _Sort.FOREIGN:
            foreign.append((name, collector.collect))
        elif sort is _Sort.OURS or snapshot is None:
            trusted.append((name, collector.collect))
    trusted.append(("build_info", build_info.collect))
    if snapshot is not None:
        trusted.append(("process_figures", lambda: process_figures.collect(_workers(store))))
    metrics, left_out = _run(trusted, foreign, deadline)
    others = convert(metrics)
    if snapshot is not None:
        left_out += snapshot.left_out
    return Gathered(snapshot, frozenset(hidden), others, (*left_out, *others.left_out))


def _run(
    trusted: list[tuple[str, Collect]], foreign: list[tuple[str, Collect]], deadline: float
) -> tuple[list[Metric], tuple[str, ...]]:
    """Collect from both kinds, the foreign ones under guard; name what failed."""
    result = _guard.run_here(trusted)
    guarded = _guard.run(foreign, deadline)
    for name, _ in foreign:
        failures = COLLECTOR_FAILURES.labels(name)
        if name in guarded.failed:
            failures.inc()
    failed = {**result.failed, **guarded.failed}
    left_out = tuple(f"collector {name}: {reason}" for name, reason in failed.items())
    return result.metrics + guarded.metrics, left_out


def _current_store() -> Any:
    """Return the shared store, or None while everything is in memory."""
    return getattr(importlib.import_module("metrics.shared"), "current", lambda: None)()


def _workers(store: Any) -> Iterable[process_figures.Worker]:
    workers: Iterable[process_figures.Worker] = getattr(store, "workers", list)()
    return workers


def _places(snapshot: Snapshot) -> Mapping[str, list[int]]:
    """Return where each family of the store stands; a name may be there more than once."""
    places: dict[str, list[int]] = {}
    for place, family in enumerate(snapshot.layout.families):
        places.setdefault(family.name, []).append(place)
    return places


def _collectors() -> Iterable[Any]:
    """Yield the collectors of our registry and of prometheus_client's default one.

    A registry's own ``collect`` runs them one after another and ends at the first that
    raises, so its list of them, which is private, is read instead.
    """
    for registry in (REGISTRY, DEFAULT_REGISTRY):
        if registry.get_target_info():
            yield _TargetInfo(registry)
        with registry._lock:
            collectors = list(registry._collector_to_names)
        yield from collectors


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
    if kind not in _sorts:
        _sorts[kind] = _sort(kind)
    return _sorts[kind]


def _sort(kind: type) -> _Sort:
    if issubclass(kind, (Counter, Gauge, Histogram, Summary)):
        return _Sort.VALUES
    if issubclass(kind, (ProcessCollector, GCCollector)):
        return _Sort.ONE_PROCESS
    if issubclass(kind, (Enum_, Info, PlatformCollector)):
        return _Sort.OURS
    return _Sort.FOREIGN


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
