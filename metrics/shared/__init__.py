"""The multi-process store: index, lanes, values, reader.

It knows prometheus_client and nothing of Django. `install` puts a `Store` under all of
prometheus_client's metrics; `current().snapshot()` reads what all processes counted.
"""

from metrics.shared.directory import reset_if_idle
from metrics.shared.lanes import Worker
from metrics.shared.limits import exempt
from metrics.shared.model import Block, Family, Labels, Layout, SampleKey, Samples, Shape, Snapshot
from metrics.shared.seam import (
    Private,
    created_before_install,
    current,
    install,
    private_values,
    uninstall,
)
from metrics.shared.store import UNREADABLE, Store
from metrics.shared.values import ATOMIC

__all__ = [
    "ATOMIC",
    "UNREADABLE",
    "Block",
    "Family",
    "Labels",
    "Layout",
    "Private",
    "SampleKey",
    "Samples",
    "Shape",
    "Snapshot",
    "Store",
    "Worker",
    "created_before_install",
    "current",
    "exempt",
    "install",
    "private_values",
    "reset_if_idle",
    "uninstall",
]
