"""Memory, CPU, start, files and threads of every live process, read without its help."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from metrics.system.process_identity import stat_fields

if TYPE_CHECKING:
    import psutil


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

    @property
    def start_ticks(self) -> int:
        """When it started, in clock ticks since boot; 0 where that is not known."""

    @property
    def is_in_our_namespace(self) -> bool:
        """Whether ``pid`` means the same to us as to the process itself."""


LABELS = ("worker", "kind")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the system knows of a process: seconds, unix seconds, bytes and numbers.

    ``open_fds`` is None where another user's process may not be asked.
    """

    cpu_seconds: float
    start_time_seconds: float
    resident_memory_bytes: float
    virtual_memory_bytes: float
    threads: float
    open_fds: float | None


def collect(workers: Iterable[Worker]) -> list[Metric]:
    """Return the ``process_*`` families, a series for each of ``workers`` that is alive.

    Names are those that prometheus_client's own process collector uses; the labels
    tell the processes apart. A process that ends meanwhile is left out, and so is one of
    another pid namespace (a sidecar's): its id means another process here, or none.
    """
    cpu = CounterMetricFamily(
        "process_cpu_seconds", "Total user and system CPU time spent in seconds", labels=LABELS
    )
    gauges = {
        name: GaugeMetricFamily(f"process_{name}", text, labels=LABELS)
        for name, text in (
            ("start_time_seconds", "Start time of the process since unix epoch in seconds"),
            ("resident_memory_bytes", "Resident memory size in bytes"),
            ("virtual_memory_bytes", "Virtual memory size in bytes"),
            ("open_fds", "Number of open file descriptors"),
            ("threads", "Number of threads"),
        )
    }
    for worker in workers:
        if (figures := figures_of(worker)) is None:
            continue
        labels = (str(worker.number), worker.kind)
        cpu.add_metric(labels, figures.cpu_seconds)
        for name, gauge in gauges.items():
            value = getattr(figures, name)
            if value is not None:
                gauge.add_metric(labels, value)
    return [cpu, *gauges.values()]


def figures_of(worker: Worker) -> Figures | None:
    """Return what the system knows of a process; None if it is gone or another namespace's."""
    if not worker.alive or not worker.is_in_our_namespace:
        return None
    read = _read_proc if sys.platform == "linux" else _read_psutil
    try:
        return read(worker.pid, worker.start_ticks)
    except (OSError, ValueError, IndexError):  # it has just ended
        return None


def _read_proc(pid: int, start_ticks: int) -> Figures:
    """Read /proc, see proc(5); a sixth of psutil's time, and scrapes are many.

    Raises ProcessLookupError if the id is another process's by now.
    """
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        fields = stat_fields(file.read())
    if start_ticks and int(fields[19]) != start_ticks:
        raise ProcessLookupError(f"process {pid} is another one by now")
    ticks = os.sysconf("SC_CLK_TCK")
    try:
        open_fds: int | None = len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        open_fds = None
    return Figures(
        cpu_seconds=(int(fields[11]) + int(fields[12])) / ticks,
        start_time_seconds=_boot_time() + int(fields[19]) / ticks,
        resident_memory_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        virtual_memory_bytes=int(fields[20]),
        threads=int(fields[17]),
        open_fds=open_fds,
    )


@cache
def _boot_time() -> float:
    import psutil  # only where it is scraped

    return float(psutil.boot_time())


def _read_psutil(pid: int, _start_ticks: int) -> Figures:
    """Ask psutil. Raises ProcessLookupError if there is no such process, or it may not be asked."""
    import psutil

    try:
        return _ask(psutil.Process(pid))
    except psutil.Error as e:
        raise ProcessLookupError(str(e)) from e


def _ask(process: psutil.Process) -> Figures:
    import psutil

    with process.oneshot():
        times, memory = process.cpu_times(), process.memory_info()
        try:
            open_fds: int | None = process.num_fds()
        except psutil.AccessDenied:
            open_fds = None
        return Figures(
            cpu_seconds=times.user + times.system,
            start_time_seconds=process.create_time(),
            resident_memory_bytes=memory.rss,
            virtual_memory_bytes=memory.vms,
            threads=process.num_threads(),
            open_fds=open_fds,
        )
