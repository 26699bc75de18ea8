"""What the tests of the metrics app share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from metrics.registry import REGISTRY


@pytest.fixture
def registered() -> Iterator[Any]:
    """Return a function that registers a collector until the test ends."""
    known: list[Any] = []

    def register(collector: Any) -> Any:
        REGISTRY.register(collector)
        known.append(collector)
        return collector

    yield register
    for collector in known:
        REGISTRY.unregister(collector)
