"""Measures what is sent by mail, whatever the EMAIL_BACKEND.

OpenTelemetry has no conventions for mail. The label ``backend`` is the path of the backend's
class.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from prometheus_client import Counter

from metrics.instrument.bounds import FirstOnes
from metrics.instrument.durations import error_type, seconds_histogram
from metrics.instrument.outermost import Method, measure, measure_all, outermost
from metrics.registries import REGISTRY

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
NAME = "django_mail_send_duration_seconds"
DURATION = seconds_histogram(
    NAME,
    "Duration of calls of a mail backend's send_messages in seconds",
    ["backend", "error_type"],
    BUCKETS,
)
MESSAGES = Counter(
    "django_mail_messages_total",
    "Total number of messages that a mail backend said were sent",
    ["backend"],
    registry=REGISTRY,
)
MOST_BACKENDS = 100

_METHODS = ("send_messages",)
_inside: ContextVar[bool] = ContextVar("sentinel_inside_mail", default=False)
_backend = FirstOnes(MOST_BACKENDS)


def install() -> None:
    """Measure the mail backends of this process, those that are made already included."""
    measure_all(BaseEmailBackend, _METHODS, _measured)
    find: Any = getattr(mail, "import_string", None)  # get_connection's, which others hold already
    if find is not None and not hasattr(find, "__wrapped__"):
        mail.import_string = _measuring(find)  # type: ignore[attr-defined]


def _measuring(import_string: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return an ``import_string`` that measures the classes which it finds."""

    @functools.wraps(import_string)
    def find(dotted_path: str) -> Any:
        found = import_string(dotted_path)
        if isinstance(found, type):
            measure(found, _METHODS, _measured)
        return found

    return find


def _measured(method: Method, name: str) -> Method:
    return outermost(method, _inside, _note)


def _note(backend: Any, seconds: float, sent: Any, error: BaseException | None) -> None:
    cls = type(backend)
    label = _backend(f"{cls.__module__}.{cls.__qualname__}")
    DURATION.labels(label, "" if error is None else error_type(error)).observe(seconds)
    if isinstance(sent, int) and not isinstance(sent, bool) and sent > 0:
        MESSAGES.labels(label).inc(sent)
