"""The seam to prometheus_client: where its values come from, private there.

prometheus_client's metrics ask ``prometheus_client.values.ValueClass`` for each number
that they hold. `install` puts the store there, after it has checked that the client
behaves as we rely on; where it does not, the service runs with the client's own values.
"""

from __future__ import annotations

import functools
import logging
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import prometheus_client
from prometheus_client import metrics as client_metrics
from prometheus_client import values as client_values

from metrics.shared import ownership
from metrics.shared.files.catalog import FamilyKey
from metrics.shared.store import Store
from metrics.shared.values import Value
from metrics.system import forks

logger = logging.getLogger("metrics.shared")

_store: Store | None = None
_own_values = client_values.ValueClass
_REMOVERS = tuple(
    name
    for name in ("clear", "remove", "remove_by_labels")  # the last came with the client's 0.24
    if name != "remove_by_labels" or hasattr(client_metrics.MetricWrapperBase, name)
)
_runs = threading.local()
_own_lock: Any = client_metrics.Lock  # type: ignore[attr-defined]
_locks: weakref.WeakSet[_MetricLock] = weakref.WeakSet()
"""The locks of metrics made while a store is installed."""


def current() -> Store | None:
    """Return the installed store, or None while values are prometheus_client's own."""
    return _store


def make_value(
    typ: str,
    metric_name: str,
    name: str,
    labelnames: tuple[str, ...],
    labelvalues: tuple[str, ...],
    help_text: str,
    multiprocess_mode: str = "",
    **kwargs: Any,
) -> Any:
    """Make what a metric keeps a number in; the signature is prometheus_client's."""
    store = _store
    if store is None or ownership.is_private_now():
        # Not a file of prometheus_client's multi-process mode, should that be on.
        kind: Any = client_values.MutexValue
        return kind(
            typ, metric_name, name, labelnames, labelvalues, help_text, multiprocess_mode=""
        )
    labelnames, labelvalues = tuple(labelnames), tuple(labelvalues)
    if typ == "histogram":
        return _histogram_value(store, metric_name, name, labelnames, labelvalues, help_text)
    mode = (multiprocess_mode or "all") if typ == "gauge" else ""
    key = FamilyKey(metric_name, typ, mode, labelnames, ())
    place = 1 if typ == "summary" and name.endswith("_sum") else 0
    return store.series(key, labelvalues, help_text)[place]


make_value._multiprocess = True  # type: ignore[attr-defined]


def _histogram_value(
    store: Store,
    metric_name: str,
    name: str,
    labelnames: tuple[str, ...],
    labelvalues: tuple[str, ...],
    help_text: str,
) -> Value:
    """Collect a histogram's values, which are made one by one: the sum, then the buckets.

    Only the last bucket says how many there are, and with it all get their cells.
    """
    if name.endswith("_sum"):
        value = Value(store, HOMELESS, 0)
        # A stack: a signal handler may make a histogram while another is half made.
        _runs.__dict__.setdefault("histograms", []).append((value, [], []))
        return value
    total, bounds, buckets = _runs.histograms[-1]
    value = Value(store, HOMELESS, len(buckets))
    bounds.append(labelvalues[-1])
    buckets.append(value)
    if bounds[-1] == "+Inf":
        _runs.histograms.pop()
        total.offset = len(buckets)
        key = FamilyKey(metric_name, "histogram", "", labelnames[:-1], tuple(bounds))
        store.adopt(key, labelvalues[:-1], help_text, [*buckets, total])
    return value


HOMELESS = (1 << 62) - 1
"""The cell of a value that has none yet."""


def check() -> str | None:
    """Return what prometheus_client does otherwise than we rely on, or None."""
    made: list[tuple[str, str, tuple[str, ...]]] = []

    own: Any = client_values.MutexValue

    def recorder(*args: Any, **kwargs: Any) -> Any:
        typ, _metric, name, _labelnames, labelvalues, *_rest = args
        made.append((typ, name, tuple(labelvalues)))
        return own(*args, **kwargs)

    before = client_values.ValueClass
    client_values.ValueClass = recorder
    try:
        client_metrics.Counter("c", "h", ["l"], registry=None).labels("v").inc()
        client_metrics.Gauge("g", "h", registry=None, multiprocess_mode="max").set(1)
        client_metrics.Summary("s", "h", registry=None).observe(1)
        client_metrics.Histogram("h", "h", registry=None, buckets=(1, 2)).observe(1)
    except Exception as e:  # noqa: BLE001 - anything but the expected is the answer
        return f"its metrics cannot be made: {type(e).__name__}: {e}"
    finally:
        client_values.ValueClass = before
    expected = [
        ("counter", "c_total", ("v",)),
        ("gauge", "g", ()),
        ("summary", "s_count", ()),
        ("summary", "s_sum", ()),
        ("histogram", "h_sum", ()),
        ("histogram", "h_bucket", ("1.0",)),
        ("histogram", "h_bucket", ("2.0",)),
        ("histogram", "h_bucket", ("+Inf",)),
    ]
    if made != expected:
        return f"its metrics ask for the values {made}"
    missing = [n for n in _REMOVERS if not hasattr(client_metrics.MetricWrapperBase, n)]
    if missing:
        return f"its metrics have no {', '.join(missing)}"
    return ownership.check()


class _MetricLock:
    """The lock of a metric's label sets, which prometheus_client holds over our calls.

    A signal handler may come while its thread has it: one thread can take it twice. It
    may also come, as a finaliser may, while its thread is at work in the store, and
    want what another thread has that waits for the store. Such a one goes on without:
    two children that are made of one label set share its values.

    Children are made under the lock, and know nothing of their parent: so the lock of a
    metric that is this process's alone says that they are, too.
    """

    __slots__ = ("__weakref__", "_lock", "is_private")

    def __init__(self) -> None:
        self.is_private = ownership.is_private_now()
        self.free()

    def free(self) -> None:
        """Begin anew: in a forked child the thread that had it is gone."""
        self._lock: Any = threading.RLock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            store = _store
            if store is None or not store.is_at_work_in_this_thread:
                self._lock.acquire()
        if self.is_private:
            ownership.begin_private()

    def __exit__(self, *exc: object) -> None:
        if self.is_private:
            ownership.end_private()
        if self._lock._is_owned():  # as threading.Condition asks it
            self._lock.release()


def _make_lock() -> _MetricLock:
    """Make a metric's lock, and see to it that a fork frees it in the child."""
    lock = _MetricLock()
    _locks.add(lock)
    return lock


def _free_locks_in_child() -> None:
    for lock in list(_locks):
        lock.free()


forks.after_in_child(_free_locks_in_child)


def install(store: Store) -> bool:
    """Let all metrics made from now on keep their values in ``store``.

    Returns False, and leaves everything as it is, where prometheus_client is not as
    we rely on; the log says so then.
    """
    global _store
    if problem := check():
        logger.error(
            "prometheus_client %s is not as the shared store relies on (%s); each process"
            " counts for itself.",
            getattr(prometheus_client, "__version__", "of unknown version"),
            problem,
        )
        return False
    _store = store
    client_values.ValueClass = make_value
    client_metrics.Lock = _make_lock  # type: ignore[attr-defined,assignment]
    for name in _REMOVERS:
        method = getattr(client_metrics.MetricWrapperBase, name)
        if not hasattr(method, "__wrapped__"):
            setattr(client_metrics.MetricWrapperBase, name, _telling_the_store(method))
    ownership.install(_release)
    return True


def uninstall() -> None:
    """Let metrics made from now on have prometheus_client's own values again."""
    global _store
    _store = None
    ownership.uninstall()
    client_values.ValueClass = _own_values
    client_metrics.Lock = _own_lock  # type: ignore[attr-defined]
    for name in _REMOVERS:
        method = getattr(client_metrics.MetricWrapperBase, name)
        if hasattr(method, "__wrapped__"):
            setattr(client_metrics.MetricWrapperBase, name, method.__wrapped__)


def _telling_the_store(method: Callable[..., None]) -> Callable[..., None]:
    """Wrap a method that removes series, so that they go from all processes."""

    @functools.wraps(method)
    def remover(self: Any, *args: Any, **kwargs: Any) -> None:
        with warnings.catch_warnings():
            if client_values.ValueClass is make_value:  # else it may be true
                warnings.filterwarnings("ignore", ".*multi-process mode", UserWarning)
            method(self, *args, **kwargs)
        if _store is None or ownership.is_private(self):
            return
        names = self._labelnames
        if method.__name__ == "remove":
            wanted = dict(zip(names, map(str, args), strict=True))
        elif method.__name__ == "remove_by_labels":
            labels = args[0] if args else kwargs["labels"]
            wanted = {name: str(value) for name, value in labels.items()}
            if not wanted:
                return
        else:
            wanted = {}
        if names:
            _store.remove(self._name, names, wanted)

    return remover


def _release(metric: Any) -> None:
    """Let the store forget the values of a metric that a shared registry no longer has."""
    if _store is not None:
        children = metric._metrics.values() if metric._is_parent() else [metric]
        held = [value for child in children for value in ownership.values_of(child)]
        _store.release(value for value in held if isinstance(value, Value))
