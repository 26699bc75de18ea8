"""The multi-process store: index, lanes, values, reader.

It knows prometheus_client and nothing of Django. `install` puts a `Store` under all of
prometheus_client's metrics; `current().snapshot()` reads what all processes counted.
"""

from metrics.shared.ownership import is_shared, not_adopted, private_values, registries, share
from metrics.shared.seam import current, install, uninstall
from metrics.shared.store import Store
from metrics.shared.values import ATOMIC
from metrics.shared.writing.series_limit import exempt

__all__ = [
    "ATOMIC",
    "Store",
    "current",
    "exempt",
    "install",
    "is_shared",
    "not_adopted",
    "private_values",
    "registries",
    "share",
    "uninstall",
]
