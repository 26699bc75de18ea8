"""Makes an object one of a subclass that looks like its class, and has some other methods."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

logger = logging.getLogger(__name__)

Method = Callable[..., Any]
Methods = Callable[[type, str], Mapping[str, Method]]
"""Takes a class and the object's alias, and returns what stands in place of its methods."""


class LookAlikes:
    """The subclasses of one kind, one for each class and alias.

    ``what`` says in the log what is not ``done`` to an object whose class allows none.
    """

    def __init__(self, methods: Methods, what: str, done: str) -> None:
        self._methods = methods
        self._what = what
        self._done = done
        self._subclasses: dict[tuple[type, str], type | None] = {}
        self._mark = f"_sentinel_is_{done}"

    def turn(self, instance: Any, alias: str) -> None:
        """Make ``instance`` one of a subclass, once. Never raises.

        Where that cannot be it stays what it was, and the log says so once a class and alias.
        """
        cls = type(instance)
        if getattr(cls, self._mark, False):
            return
        try:
            subclass = self._subclasses[cls, alias]
        except KeyError:
            subclass = self._subclasses[cls, alias] = self._try(cls, alias)
        if subclass is None:
            return
        try:
            instance.__class__ = subclass
        except Exception as e:  # noqa: BLE001 - one of a class in C, or whatever the class says
            self._subclasses[cls, alias] = None
            self._say(cls, alias, e)

    def _try(self, cls: type, alias: str) -> type | None:
        try:
            return self._subclass(cls, alias)
        except Exception as e:  # noqa: BLE001 - whatever its metaclass or __init_subclass__ says
            self._say(cls, alias, e)
            return None

    def _subclass(self, cls: type, alias: str) -> type | None:
        methods = self._methods(cls, alias)
        if not methods:
            return None
        members: dict[str, Any] = {
            "__doc__": cls.__doc__,
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "__slots__": (),  # an object of a class with slots can become one of this
            self._mark: True,
        }
        for name, method in methods.items():
            members[name] = functools.wraps(getattr(cls, name))(method)
        return type(cls.__name__, (cls,), members)

    def _say(self, cls: type, alias: str, error: Exception) -> None:
        logger.warning(
            "%s %s is not %s: %s allows no subclass: %s", self._what, alias, self._done, cls, error
        )


def method_of(cls: type, name: str) -> Method | None:
    """Return what is called with an object of ``cls`` first, or None if there is no such."""
    found = inspect.getattr_static(cls, name, None)
    if isinstance(found, (staticmethod, classmethod, property)):
        return None
    method: Any = getattr(cls, name, None)
    return method if callable(method) else None
