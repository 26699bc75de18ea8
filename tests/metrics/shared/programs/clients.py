"""Ways to use prometheus_client that the store has to follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Enum, Info

from metrics import shared
from tests.support.store_process import StoreProcess


def name_by_parts(process: StoreProcess) -> None:
    """Count for families whose names have parts, one of them of a subclass with defaults."""

    class Mine(Counter):
        def __init__(
            self,
            name: str,
            documentation: str,
            labelnames: Sequence[str] = (),
            namespace: str = "n",
            subsystem: str = "s",
            unit: str = "",
            registry: Any = process.registry,
            _labelvalues: Any = None,
        ) -> None:
            super().__init__(
                name,
                documentation,
                labelnames,
                namespace=namespace,
                subsystem=subsystem,
                unit=unit,
                registry=registry,
                _labelvalues=_labelvalues,
            )

    m = Mine("m", "help", ["status"], namespace="ns", subsystem="ss", unit="seconds")
    m.labels("200").inc()
    Counter("c", "help", namespace="ns", subsystem="ss", registry=process.registry).inc()


def collect_restricted(process: StoreProcess) -> tuple[CollectorRegistry, list[str]]:
    """Fill a shared registry; return it, and the families of its restricted collection."""
    registry = shared.share(CollectorRegistry())
    Counter("c", "help", registry=registry).inc(2)
    Info("i", "help", registry=registry).info({"version": "1"})
    Enum("e", "help", states=["on", "off"], registry=registry).state("off")
    return registry, [m.name for m in registry.restricted_registry(["c_total"]).collect()]
