"""An application with figures that only the process that answers knows."""

from __future__ import annotations

import os
from collections.abc import Iterable

from django.apps import AppConfig
from prometheus_client import REGISTRY, Enum, Gauge, Info, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class Pid(Collector):
    """A collector of the process id."""

    def describe(self) -> Iterable[Metric]:
        """Say nothing of what comes."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Give the id of the process that answers."""
        yield GaugeMetricFamily("t_pool", "Of the process that answers", os.getpid())


class Config(AppConfig):
    """An application with a collector, an Info, an Enum and a gauge that asks a function."""

    name = "tests.end_to_end.programs.own_figures_app"

    def ready(self) -> None:
        """Make its metrics."""
        self.about = Info("t_about", "About")
        self.state = Enum("t_state", "State", states=["mine", "other"])
        Gauge("t_callback", "Callback", multiprocess_mode="sum").set_function(os.getpid)
        REGISTRY.register(Pid())
