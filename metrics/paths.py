"""The setting SENTINEL_PATHS: at which paths the endpoints of both apps answer.

Nothing of Django is imported, so that gunicorn's arbiter may read the defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

SETTING = "SENTINEL_PATHS"

DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "health": ("/health",),
    "ready": ("/ready",),
    "started": ("/started",),
    "metrics": ("/metrics",),
}
"""Each endpoint's paths; those of `health` are not served where only `metrics` is installed."""

_PATH = r"(?:/[^/\s?#%<>]+)+/?"


def problems(value: Any) -> list[str]:
    """Return what is wrong with a value of the setting, each with the key that it is about."""
    if not isinstance(value, Mapping):
        return [f"{SETTING} must be a dict of endpoints and their paths, not {value!r}"]
    found = [problem for name, paths in value.items() for problem in _problems_of(name, paths)]
    return found or _shared(parse(value))


def parse(value: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """Return the paths of every endpoint, without a trailing slash.

    An endpoint that ``value`` does not name has its default; a value without `problems`
    is expected.
    """
    given = {name: tuple(p.rstrip("/") for p in _listed(paths)) for name, paths in value.items()}
    return {**DEFAULTS, **given}


def spellings(paths: Iterable[str]) -> list[str]:
    """Return each path as it is and with a trailing slash: both are answered."""
    return [spelling for path in paths for spelling in (path, f"{path}/")]


def _listed(paths: Any) -> list[Any]:
    return list(paths) if isinstance(paths, (list, tuple)) else [paths]


def _problems_of(name: object, paths: Any) -> list[str]:
    if name not in DEFAULTS:
        return [f"{SETTING} has {name!r}, which is none of {', '.join(DEFAULTS)}"]
    if not _listed(paths):
        return [f"{SETTING}[{name!r}] must name a path or several, not {paths!r}"]
    return [
        f'{SETTING}[{name!r}] must be a path such as "/api/{name}", or a list of such, not {path!r}'
        for path in _listed(paths)
        if not isinstance(path, str) or re.fullmatch(_PATH, path) is None
    ]


def _shared(paths: Mapping[str, tuple[str, ...]]) -> list[str]:
    owners: dict[str, str] = {}
    found = []
    for name, own in paths.items():
        for path in own:
            if (other := owners.setdefault(path, name)) != name:
                found.append(f"{SETTING} gives {path} to {other} and to {name}")
    return found
