"""Measures management commands: how long they run, how they end, and when one last succeeded.

OpenTelemetry has no conventions for them.
"""

from __future__ import annotations

import functools
import logging
import time
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from prometheus_client import Gauge

from metrics.instrument.bounds import OTHER, FirstOnes
from metrics.instrument.durations import TASK_BUCKETS, error_type, seconds_histogram
from metrics.instrument.outermost import Method, measure_all
from metrics.registries import REGISTRY
from metrics.system.forks import is_the_parents

logger = logging.getLogger(__name__)

DURATION = seconds_histogram(
    "django_command_duration_seconds",
    "Duration of management commands in seconds",
    ["command", "exit_code", "error_type"],
    TASK_BUCKETS,
)
ACTIVE = Gauge(
    "django_commands_active",
    "Number of management commands that run",
    ["command"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
LAST_SUCCESS = Gauge(
    "django_command_last_success_timestamp_seconds",
    "When a management command last ended with 0, in seconds since 1970",
    ["command"],
    registry=REGISTRY,
    multiprocess_mode="max",
)
MOST_COMMANDS = 200

_PACKAGE = ".management.commands."
_OURS = ("health.", "metrics.")
_running: ContextVar[object] = ContextVar("sentinel_running_command", default=None)
_command = FirstOnes(MOST_COMMANDS)


def install() -> None:
    """Measure the commands that this process runs from now on."""
    measure_all(BaseCommand, ("execute",), _measured)


def _measured(method: Method, name: str) -> Method:
    """Return an ``execute`` that counts once, though a subclass' calls that of its base."""

    @functools.wraps(method)
    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _running.get() is self or type(self).__module__.startswith(_OURS):
            return method(self, *args, **kwargs)
        token = _running.set(self)
        label = _label(self)
        began = perf_counter()
        _note_begin(label)
        try:
            result = method(self, *args, **kwargs)
        except BaseException as e:
            _note_end(label, began, e)
            raise
        finally:
            _running.reset(token)
        _note_end(label, began, None)
        return result

    return execute


def _label(command: Any) -> str:
    _, found, name = type(command).__module__.rpartition(_PACKAGE)
    return _command(name) if found else OTHER


def _note_begin(label: str) -> None:
    try:
        ACTIVE.labels(label).inc()
    except Exception:
        logger.exception("the command %s is not measured", label)


def _note_end(label: str, began: float, error: BaseException | None) -> None:
    seconds = perf_counter() - began
    if is_the_parents(began):
        return
    try:
        ACTIVE.labels(label).dec()
        code = exit_code(error)
        said = "" if code == 0 or error is None else error_type(error)
        DURATION.labels(label, str(code), said).observe(seconds)
        if code == 0:
            LAST_SUCCESS.labels(label).set(time.time())
    except Exception:
        logger.exception("the command %s is not measured", label)


def exit_code(error: BaseException | None) -> int:
    """Return the exit status of a process in which a command ends so."""
    match error:
        case None:
            return 0
        case CommandError():
            code: Any = error.returncode
        case SystemExit():
            code = error.code
        case KeyboardInterrupt():
            return 130
        case _:
            return 1
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1
