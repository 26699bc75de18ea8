"""Measures the outermost of calls that are made of each other, and puts it into classes."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from time import perf_counter
from typing import Any

logger = logging.getLogger(__name__)

_MARK = "_sentinel_is_measured"
_followed: set[type] = set()

Method = Callable[..., Any]
Note = Callable[[Any, float, Any, BaseException | None], None]
"""Takes the object, the seconds, and what its method returned or raised."""


def outermost(method: Method, inside: ContextVar[bool], note: Note) -> Method:
    """Return a method that calls ``note`` once it has ended, unless it runs ``inside`` another.

    A call is inside another one that shares ``inside``, in its thread or task.
    """

    @functools.wraps(method)
    def measured(self: Any, *args: Any, **kwargs: Any) -> Any:
        if inside.get():
            return method(self, *args, **kwargs)
        token = inside.set(True)
        began = perf_counter()
        try:
            result = method(self, *args, **kwargs)
        except BaseException as e:
            _note(note, self, perf_counter() - began, None, e)
            raise
        finally:
            inside.reset(token)
        _note(note, self, perf_counter() - began, result, None)
        return result

    return measured


def _note(
    note: Note, instance: Any, seconds: float, result: Any, error: BaseException | None
) -> None:
    try:
        note(instance, seconds, result, error)
    except Exception:
        logger.exception("a call of %s is not measured", type(instance))


def measure(cls: type, names: Iterable[str], measured: Callable[[Method, str], Method]) -> None:
    """Put what ``measured`` makes of a method and its name in the place of those ``names``.

    A method that is inherited and measured there is left alone, as is a coroutine. A class that
    cannot be changed is logged, and works as it did.
    """
    try:
        _measure(cls, names, measured)
    except Exception:
        logger.exception("%s is not measured", cls)


def _measure(cls: type, names: Iterable[str], measured: Callable[[Method, str], Method]) -> None:
    for name in names:
        method = inspect.getattr_static(cls, name, None)
        if not inspect.isfunction(method) or inspect.iscoroutinefunction(method):
            continue
        if not getattr(method, _MARK, False):
            instead = measured(method, name)
            setattr(instead, _MARK, True)
            setattr(cls, name, instead)


def measure_all(base: Any, names: Iterable[str], measured: Callable[[Method, str], Method]) -> None:
    """Do as `measure` in ``base`` and each class derived from it, those of later included."""
    if base in _followed:
        return
    _followed.add(base)
    for cls in dict.fromkeys(_with_subclasses(base)):
        measure(cls, names, measured)
    before = base.__dict__.get("__init_subclass__")

    def follow(cls: Any, /, **kwargs: Any) -> None:
        if before is None:
            super(base, cls).__init_subclass__(**kwargs)
        else:
            before.__get__(None, cls)(**kwargs)
        measure(cls, names, measured)

    base.__init_subclass__ = classmethod(follow)


def _with_subclasses(cls: Any) -> Iterator[type]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _with_subclasses(subclass)
