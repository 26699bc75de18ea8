"""Which versions are running, as a family of one sample."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from prometheus_client import Metric

from metrics import __version__


@cache
def _metric() -> Metric:
    from platform import python_version  # only where it is scraped, like all of this

    labels = {"python": python_version(), "version": __version__}
    labels |= {name: _version(name) for name in ("django", "prometheus_client")}
    metric = Metric(
        "sentinel_build_info", "Versions of Sentinel and of what it runs on; always 1", "gauge"
    )
    metric.add_sample("sentinel_build_info", labels, 1)
    return metric


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout, without being installed
        return "unknown"


def collect() -> Iterable[Metric]:
    """Return ``sentinel_build_info``."""
    return [_metric()]
