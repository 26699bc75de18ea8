"""Upper bounds of histograms, by family and by series, and what settings say of them.

A family, or some of its series, is named as in PromQL: ``name`` or ``name{label="value"}``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

_SELECTOR = r'([a-zA-Z_:][\w:]*)(?:\{\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*\})?'
_ESCAPES = {"n": "\n"}


class Selector(NamedTuple):
    """A family, or those of its series whose ``label`` is ``value``; ``label`` may be empty."""

    family: str
    label: str = ""
    value: str = ""


Bounds = tuple[float, ...]


class Buckets(NamedTuple):
    """The upper bounds that settings give, in seconds, and the objectives that become bounds."""

    bounds: Mapping[Selector, Bounds]
    objectives: Mapping[Selector, float]

    def of(self, family: str, labels: Mapping[str, str], default: Bounds) -> Bounds:
        """Return the bounds of a series: the narrowest selector's, and its objective among them."""
        whole = Selector(family)
        bounds = self.bounds.get(whole, default)
        objective = self.objectives.get(whole)
        for label, value in labels.items():
            selector = Selector(family, label, value)
            bounds = self.bounds.get(selector, bounds)
            objective = self.objectives.get(selector, objective)
        if objective is None or objective in bounds:
            return bounds
        return tuple(sorted((*bounds, objective)))


def parse_bounds(setting: str, value: Any) -> dict[Selector, Bounds]:
    """Return the bounds that the value of ``setting`` gives. Raises ValueError."""
    bounds = {}
    for selector, given in _entries(setting, value, "lists of seconds"):
        if not are_bounds(given):
            raise ValueError(
                f"{setting}[{_spelled(selector)!r}] must be a list of numbers of seconds, each"
                f" larger than the one before it, not {given!r}"
            )
        bounds[selector] = tuple(map(float, given))
    return bounds


def parse_objectives(setting: str, value: Any) -> dict[Selector, float]:
    """Return the objectives that the value of ``setting`` gives. Raises ValueError."""
    objectives = {}
    for selector, given in _entries(setting, value, "numbers of seconds"):
        if not _is_seconds(given) or given <= 0:
            raise ValueError(
                f"{setting}[{_spelled(selector)!r}] must be a number of seconds above 0,"
                f" not {given!r}"
            )
        objectives[selector] = float(given)
    return objectives


def _entries(setting: str, value: Any, of_what: str) -> list[tuple[Selector, Any]]:
    if not isinstance(value, Mapping):
        raise ValueError(
            f"{setting} must be a dict of {of_what} by a histogram's name, not {value!r}"
        )
    entries = []
    for key, given in value.items():
        found = re.fullmatch(_SELECTOR, key) if isinstance(key, str) else None
        if found is None:
            raise ValueError(
                f'{setting}: {key!r} must be a histogram\'s name, or name{{label="value"}}'
            )
        family, label, text = found.groups("")
        text = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), text)
        entries.append((Selector(family, label, text), given))
    return entries


def _spelled(selector: Selector) -> str:
    if not selector.label:
        return selector.family
    return f'{selector.family}{{{selector.label}="{selector.value}"}}'


def _is_seconds(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that is larger than any float
        return False


def are_bounds(value: Any) -> bool:
    """Whether a histogram of seconds can have these upper bounds."""
    if not isinstance(value, (list, tuple)) or not value or not all(map(_is_seconds, value)):
        return False
    return value[0] > 0 and all(low < high for low, high in pairwise(map(float, value)))
