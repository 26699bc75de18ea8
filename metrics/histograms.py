"""Histograms of seconds whose buckets the service's settings choose."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from prometheus_client import CollectorRegistry, Histogram

from metrics.conf import conf

logger = logging.getLogger(__name__)

FAMILIES: dict[str, tuple[str, ...]] = {}
"""The label names of each family that was made so: what settings may name."""


class SecondsHistogram(Histogram):
    """A histogram whose series take their buckets from ``SENTINEL_BUCKETS``.

    They are looked up when a series is made, so that a family may be made before there are
    settings; a setting that cannot be used leaves the default.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str] = (),
        _labelvalues: Sequence[str] | None = None,
        buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS,
        registry: CollectorRegistry | None = None,
        **more: Any,
    ) -> None:
        series_buckets = buckets
        if _labelvalues is None:
            FAMILIES[name] = tuple(labelnames)
        if _labelvalues is not None or not labelnames:
            labels = dict(zip(labelnames, _labelvalues or (), strict=True))
            series_buckets = _buckets(name, labels, buckets)
        super().__init__(
            name,
            documentation,
            labelnames,
            unit="seconds",
            registry=registry,
            _labelvalues=_labelvalues,
            buckets=series_buckets,
        )
        self._kwargs["buckets"] = buckets


def _buckets(name: str, labels: dict[str, str], default: Sequence[float]) -> Sequence[float]:
    try:
        return conf.buckets.of(name, labels, tuple(default))
    except ImproperlyConfigured:  # there are no settings, or the system checks say what is wrong
        return default
