"""Memory, CPU, start, files and threads of every live process, read without its help."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily


class Worker(Protocol):
    """What is needed to know of a process: see ``metrics.shared``."""

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def kind(self) -> str:
        """What the process does: gunicorn, celery, manage.py command …."""

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""

    @property
    def number(self) -> int:
        """The number of its lane, which a successor takes over."""


LABELS = ("worker", "kind")


def collect(workers: Iterable[Worker]) -> list[Metric]:
    """Return the ``process_*`` families, a series for each of ``workers`` that is alive.

    Names are those that prometheus_client's own process collector uses; the labels
    tell the processes apart. A process that ends meanwhile is left out.
    """
    cpu = CounterMetricFamily(
        "process_cpu_seconds", "Total user and system CPU time spent in seconds", labels=LABELS
    )
    start, resident, virtual, files, threads = (
        GaugeMetricFamily(f"process_{name}", text, labels=LABELS)
        for name, text in (
            ("start_time_seconds", "Start time of the process since unix epoch in seconds"),
            ("resident_memory_bytes", "Resident memory size in bytes"),
            ("virtual_memory_bytes", "Virtual memory size in bytes"),
            ("open_fds", "Number of open file descriptors"),
            ("threads", "Number of threads"),
        )
    )
    for worker in workers:
        if not worker.alive:
            continue
        labels = (str(worker.number), worker.kind)
        try:
            process = psutil.Process(worker.pid)
            with process.oneshot():
                times, memory = process.cpu_times(), process.memory_info()
                cpu.add_metric(labels, times.user + times.system)
                start.add_metric(labels, process.create_time())
                resident.add_metric(labels, memory.rss)
                virtual.add_metric(labels, memory.vms)
                threads.add_metric(labels, process.num_threads())
                files.add_metric(labels, process.num_fds())
        except (psutil.Error, OSError):
            continue
    return [cpu, start, resident, virtual, files, threads]
