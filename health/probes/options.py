"""What may stand in OPTIONS: told from the fields of a probe's dataclass and their types."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

FilePath = str | os.PathLike[str]
"""What names a file in an option."""

_WORDS: dict[object, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    types.NoneType: "None",
    os.PathLike: "a path",
    collections.abc.Sequence: "a list",
    collections.abc.Mapping: "a dictionary",
}


def problems(cls: type, options: Mapping[str, Any], *, by_type: bool) -> Iterator[tuple[str, str]]:
    """Yield ``(key, what is wrong)`` of each option that the dataclass ``cls`` cannot take.

    The text never holds the value, which may be a secret. ``by_type`` False trusts no
    annotation: those of other people's classes are not made for this.
    """
    fields = [f for f in dataclasses.fields(cls) if f.init]
    known = [f.name for f in fields]
    for key in options:
        if key not in known:
            yield key, f"is no option of {cls.__name__}; there are {', '.join(known) or 'none'}"
    hints = _hints(cls) if by_type else {}
    for f in fields:
        if f.name in options:
            hint = hints.get(f.name, Any)
            if not _fits(options[f.name], hint):
                yield f.name, f"must be {_in_words(hint)}"
        elif f.default is f.default_factory is dataclasses.MISSING:
            yield f.name, f"is needed by {cls.__name__}"


def problem_of_call(function: Callable[..., Any], options: Mapping[str, Any]) -> str | None:
    """Say why ``function(**options)`` cannot be called, or None if it can or if none can tell."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C have none
        return None
    try:
        signature.bind(**options)
    except TypeError as e:
        return str(e)
    return None


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except Exception:  # noqa: BLE001 - somebody's class may name what only type checkers see
        return {}


def _fits(value: object, hint: Any) -> bool:
    """Whether ``value`` is of the type ``hint``; True where that is none of those known here."""
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is collections.abc.Sequence:
        if not isinstance(value, (list, tuple, set, frozenset, range)):
            return False
        return all(_fits(item, arguments[0]) for item in value) if arguments else True
    if origin is collections.abc.Mapping:
        if not isinstance(value, Mapping):
            return False
        return not arguments or all(
            _fits(k, arguments[0]) and _fits(v, arguments[1]) for k, v in value.items()
        )
    if origin in _WORDS:
        return isinstance(value, origin)
    return True


def _in_words(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_in_words(argument) for argument in arguments)
    if origin is os.PathLike or not all(argument in _WORDS for argument in arguments):
        return _WORDS[origin]
    words = [_WORDS[argument] for argument in arguments]
    if origin is collections.abc.Sequence and words:
        return f"{_WORDS[origin]} in which each is {words[0]}"
    return " of ".join([_WORDS[origin], " to ".join(words)] if words else [_WORDS[origin]])
