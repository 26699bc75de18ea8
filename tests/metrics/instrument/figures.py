"""Reads back what was measured in this process."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

from metrics.registries import REGISTRY


class Figures:
    """The samples of one family by labels, less those of before: those that are not 0."""

    def __init__(
        self, name: str, registry: CollectorRegistry = REGISTRY, *, before: bool = True
    ) -> None:
        self._name = name
        self._registry = registry
        self._before = self._read() if before else {}

    def _read(self) -> dict[frozenset[tuple[str, str]], float]:
        return {
            frozenset((k, v) for k, v in sample.labels.items() if v): sample.value
            for family in self._registry.collect()
            for sample in family.samples
            if sample.name == self._name
        }

    def new(self) -> list[dict[str, Any]]:
        """Return the labels of each sample that has grown, and by how much under ``n``."""
        grown = []
        for labels, value in sorted(self._read().items(), key=lambda item: sorted(item[0])):
            if more := value - self._before.get(labels, 0.0):
                grown.append({**dict(labels), "n": more})
        return grown
