"""Whose the values of a metric are: the service's, or this process's alone.

A metric counts for the service if it is in a registry that is scraped: prometheus_client's
default one, and those that `share` was told of. A metric of any other registry, or of none,
keeps its values to this process, as prometheus_client does without the store: what is
pushed, written to a text file or looked at by a test is what this process counted.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from prometheus_client import REGISTRY as DEFAULT_REGISTRY
from prometheus_client import CollectorRegistry, Info
from prometheus_client import Enum as StateSet
from prometheus_client import metrics as client_metrics
from prometheus_client import values as client_values

from metrics.shared.values import Value

logger = logging.getLogger("metrics.shared")

R = TypeVar("R", bound=CollectorRegistry)

_registries: list[CollectorRegistry] = []
"""Those that `share` was told of."""
_thread = threading.local()
_not_adopted: dict[str, str] = {}
_installed = False

MetricWrapperBase: Any = client_metrics.MetricWrapperBase


def share(registry: R) -> R:
    """Let the metrics of ``registry`` count for the service, and scrapes show them.

    Those that it has already are taken over with what they have counted. Returns
    ``registry``.
    """
    if not is_shared(registry):
        _registries.append(registry)
    if _installed:
        adopt_all(registry)
    return registry


def registries() -> Sequence[CollectorRegistry]:
    """Return the registries that are scraped, prometheus_client's default one last."""
    return (*_registries, DEFAULT_REGISTRY)


def is_shared(registry: object) -> bool:
    """Whether metrics of ``registry`` count for the service."""
    return registry is DEFAULT_REGISTRY or any(one is registry for one in _registries)


def is_private_now() -> bool:
    """Whether a value that this thread makes now is to be this process's alone."""
    return bool(getattr(_thread, "private", 0))


@contextmanager
def private_values() -> Iterator[None]:
    """Let metrics that are made meanwhile, by this thread, have values of their own."""
    begin_private()
    try:
        yield
    finally:
        end_private()


def begin_private() -> None:
    """Begin what `private_values` does."""
    _thread.private = getattr(_thread, "private", 0) + 1


def end_private() -> None:
    """End what `begin_private` began."""
    _thread.private -= 1


def is_private(metric: Any) -> bool:
    """Whether the values of a metric, or those of its children, are this process's alone."""
    if not hasattr(metric, "_lock"):  # a child of a metric with labels
        return not isinstance(_first_value(metric), Value)
    return getattr(metric._lock, "is_private", True)


# --- metrics that are there already ----------------------------------------------------


def adopt_all(registry: CollectorRegistry) -> None:
    """Take over the metrics of a shared registry that were made before it was one."""
    with registry._lock:
        collectors = list(registry._collector_to_names)
    for collector in collectors:
        adopt(collector)


def adopt(collector: Any) -> None:
    """Move what a metric has counted into the store, and let it go on there.

    Nothing happens to a collector that is no metric, or is in the store. A metric that
    cannot be moved goes on as it is; the log and a system check name it. Never raises.
    """
    kind = type(collector)  # isinstance() would ask a lazy object for its class
    if not issubclass(kind, MetricWrapperBase) or issubclass(kind, (Info, StateSet)):
        return
    if not is_private(collector):
        return
    try:
        _adopt(collector)
    except Exception as e:
        name = str(getattr(collector, "_name", kind.__name__))
        _not_adopted[name] = f"{type(e).__name__}: {e}"
        logger.exception(
            "The metric %s was made before the shared store, and cannot be moved there: each"
            " process counts it for itself.",
            name,
        )


def not_adopted() -> list[str]:
    """Return the names of metrics of shared registries that could not be moved to the store."""
    return sorted(_not_adopted)


def _adopt(metric: Any) -> None:
    before = getattr(_thread, "private", 0)
    _thread.private = 0
    try:
        if metric._is_parent():
            new: Any = client_metrics.Lock()  # type: ignore[attr-defined]
            with metric._lock:
                metric._lock = new
                children = list(metric._metrics.values())
        else:
            children = [metric]
        left_behind = [amount for child in children for amount in _move_values(child)]
    finally:
        _thread.private = before
    if any(left_behind):
        logger.warning(
            "The metric %s was made before the shared store, in prometheus_client's multi-process"
            " mode: what it counted until then stays in a file of PROMETHEUS_MULTIPROC_DIR, and is"
            " in no scrape.",
            metric._name,
        )


def _first_value(metric: Any) -> Any:
    return getattr(metric, "_value", None) or getattr(metric, "_sum", None)


def _move_values(metric: Any) -> list[float]:
    """Give a metric without children values of the store, and add what it had to them.

    Returns the amounts that stay where they are.
    """
    before = values_of(metric)
    # Made aside: a thread that observes meanwhile must not meet half of the buckets.
    twin = object.__new__(type(metric))
    vars(twin).update(vars(metric))
    twin._metric_init()
    had = vars(metric)
    had.update(
        {
            name: given
            for name, given in vars(twin).items()
            if name != "_created" and given is not had.get(name)
        }
    )
    left_behind: list[float] = []
    for old, new in zip(before, values_of(metric), strict=True):
        if type(old) is client_values.MutexValue:
            if amount := float(old._value):
                new.inc(amount)
        else:
            # A file of prometheus_client's multi-process mode: its number may be that of
            # a process that has ended.
            left_behind.append(old.get())
        if (exemplar := old.get_exemplar()) is not None:
            new.set_exemplar(exemplar)
    return left_behind


def values_of(metric: Any) -> list[Any]:
    """Return the values of a metric that has no children, in a fixed order."""
    if metric._type == "histogram":
        return [metric._sum, *metric._buckets]
    return [metric._count, metric._sum] if metric._type == "summary" else [metric._value]


# --- the methods of prometheus_client that have to know ---------------------------------

_Method = Callable[..., Any]
_own: dict[tuple[type, str], _Method] = {}


def install(release: Callable[[Any], None]) -> None:
    """Let metrics be made, registered and unregistered as this module says; adopt those there are.

    ``release`` is called with a metric that a shared registry no longer has.
    """
    global _installed
    _installed = True
    _wrap(MetricWrapperBase, "__init__", _deciding_whose)
    _wrap(CollectorRegistry, "register", _adopting)
    _wrap(CollectorRegistry, "unregister", functools.partial(_releasing, release))
    for registry in registries():
        adopt_all(registry)


def uninstall() -> None:
    """Undo `install`, but for the metrics that were adopted."""
    global _installed
    _installed = False
    for (cls, name), method in _own.items():
        setattr(cls, name, method)
    _own.clear()
    _not_adopted.clear()


def _wrap(cls: Any, name: str, wrap: Callable[[_Method], _Method]) -> None:
    if (cls, name) not in _own:
        _own[cls, name] = getattr(cls, name)
        setattr(cls, name, functools.wraps(_own[cls, name])(wrap(_own[cls, name])))


REGISTRY_PLACE, LABELVALUES_PLACE = 6, 7
"""Where ``registry`` and ``_labelvalues`` stand among the arguments of a metric's `__init__`."""


def check() -> str | None:
    """Return what prometheus_client does otherwise than this module relies on, or None."""
    names = list(inspect.signature(MetricWrapperBase.__init__).parameters)[1:]
    if names[REGISTRY_PLACE:] != ["registry", "_labelvalues"]:
        return f"its metrics are made from {', '.join(names)}"
    return None


def _deciding_whose(init: _Method) -> _Method:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        if _argument(LABELVALUES_PLACE, "_labelvalues", None, args, kwargs):
            init(self, *args, **kwargs)  # a child: its parent's lock says whose it is
        elif is_shared(_argument(REGISTRY_PLACE, "registry", DEFAULT_REGISTRY, args, kwargs)):
            init(self, *args, **kwargs)
        else:
            with private_values():
                init(self, *args, **kwargs)

    return __init__


def _argument(
    place: int, name: str, default: object, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, default)


def _adopting(register: _Method) -> _Method:
    def adopting(self: CollectorRegistry, collector: Any) -> None:
        register(self, collector)
        if is_shared(self):
            adopt(collector)

    return adopting


def _releasing(release: Callable[[Any], None], unregister: _Method) -> _Method:
    def releasing(self: CollectorRegistry, collector: Any) -> None:
        unregister(self, collector)
        if is_shared(self) and issubclass(type(collector), MetricWrapperBase):
            release(collector)

    return releasing
