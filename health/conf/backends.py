"""What ``SENTINEL_BACKENDS`` says, checked and in types.

Nothing here reads a setting: `health.conf` hands the value in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from health.conf.values import is_dotted_path, is_seconds
from health.core.backend import LOCAL, SCOPES, BackendHealth

SETTING = "SENTINEL_BACKENDS"
MAX_NAME = 100
"""The longest name of a backend: it is a label, a column and a word in a query."""


@dataclass(frozen=True, slots=True)
class BackendConfig:
    """How one backend is probed; times are in seconds.

    ``probe`` is a dotted path or a callable, ``options`` its keyword arguments.
    ``interval_in_doubt`` is the interval while the last checks speak against the
    state. ``max_age`` follows from the others: after three missed checks and a
    timeout a state is stale.
    """

    name: str
    probe: str | Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    interval: float = 10.0
    timeout: float = 2.0
    rise: int = 1
    fall: int = 3
    tags: tuple[str, ...] = ()
    scope: str = LOCAL
    interval_in_doubt: float = 2.5

    @property
    def max_age(self) -> float:
        """How old a check may be before the state is stale, in seconds."""
        return 3 * self.interval + self.timeout

    @property
    def unchecked(self) -> BackendHealth:
        """What is known of the backend before its first check: its settings."""
        return BackendHealth(
            self.name,
            max_age=self.max_age,
            rise=self.rise,
            fall=self.fall,
            tags=self.tags,
            scope=self.scope,
            probed=True,
        )


DEFAULTS: Mapping[str, Any] = {
    "OPTIONS": {},
    "INTERVAL": 10,
    "TIMEOUT": 2,
    "RISE": 1,
    "FALL": 3,
    "TAGS": [],
    "SCOPE": LOCAL,
    "INTERVAL_IN_DOUBT": None,
}
"""What a backend's mapping may leave out; ``INTERVAL_IN_DOUBT`` is then a quarter of INTERVAL."""


def parse(value: Any) -> dict[str, BackendConfig]:
    """Return the backends by name. Raises ImproperlyConfigured, naming the first wrong key."""
    for message in problems(value):
        raise ImproperlyConfigured(message)
    return {name: _parse_one(name, item) for name, item in value.items()}


def _parse_one(name: str, item: Mapping[str, Any]) -> BackendConfig:
    get = {**DEFAULTS, **item}
    doubt = get["INTERVAL_IN_DOUBT"]
    return BackendConfig(
        name=name,
        probe=get["PROBE"],
        options=dict(get["OPTIONS"]),
        interval=float(get["INTERVAL"]),
        timeout=float(get["TIMEOUT"]),
        rise=get["RISE"],
        fall=get["FALL"],
        tags=tuple(get["TAGS"]),
        scope=get["SCOPE"],
        interval_in_doubt=float(get["INTERVAL"]) / 4 if doubt is None else float(doubt),
    )


def problems(value: Any) -> Iterator[str]:
    """Yield what is wrong with the setting's shape, each with the path of the key."""
    if not isinstance(value, Mapping):
        yield f"{SETTING} must be a dictionary of name to backend, not {type(value).__name__}"
        return
    for name, item in value.items():
        if not isinstance(name, str) or not name.strip():
            yield f"{SETTING} has a backend without a name: {name!r}"
        elif not is_name(name):
            yield f"{SETTING}[{name!r}]: a name is at most {MAX_NAME} printable characters"
        elif not isinstance(item, Mapping):
            yield f"{SETTING}[{name!r}] must be a dictionary, not {type(item).__name__}"
        else:
            yield from _problems_of_one(f"{SETTING}[{name!r}]", item)


def _problems_of_one(path: str, item: Mapping[str, Any]) -> Iterator[str]:
    for key in item:
        if key != "PROBE" and key not in DEFAULTS:
            yield f"{path}[{key!r}] is no option; there are PROBE, {', '.join(DEFAULTS)}"
    probe = item.get("PROBE")
    if not callable(probe) and not is_dotted_path(probe):
        yield f"{path}['PROBE'] must be a dotted path or a callable, not {probe!r}"
    get = {**DEFAULTS, **item}
    if not isinstance(get["OPTIONS"], Mapping) or not all(
        isinstance(key, str) for key in get["OPTIONS"]
    ):
        yield f"{path}['OPTIONS'] must be a dictionary of option to value"
    times = [key for key in ("INTERVAL", "TIMEOUT") if not _is_duration(get[key])]
    if get["INTERVAL_IN_DOUBT"] is not None and not _is_duration(get["INTERVAL_IN_DOUBT"]):
        times.append("INTERVAL_IN_DOUBT")
    for key in times:
        yield f"{path}[{key!r}] must be a number of seconds above 0, not {get[key]!r}"
    if not times and not get["TIMEOUT"] < get["INTERVAL"]:
        yield (
            f"{path}['TIMEOUT'] ({get['TIMEOUT']:g} s) must be below"
            f" INTERVAL ({get['INTERVAL']:g} s)"
        )
    for key in ("RISE", "FALL"):
        if isinstance(get[key], bool) or not isinstance(get[key], int) or get[key] < 1:
            yield f"{path}[{key!r}] must be a whole number, 1 or more, not {get[key]!r}"
    tags = get["TAGS"]
    if not isinstance(tags, (list, tuple, set, frozenset)) or not all(
        isinstance(tag, str) and tag for tag in tags
    ):
        yield f"{path}['TAGS'] must be a list of words, not {tags!r}"
    if get["SCOPE"] not in SCOPES:
        yield f"{path}['SCOPE'] must be one of {', '.join(SCOPES)}, not {get['SCOPE']!r}"


def is_name(value: Any) -> bool:
    """Whether ``value`` can name a backend."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and (len(value) <= MAX_NAME and value.isprintable())
    )


def _is_duration(value: Any) -> bool:
    return is_seconds(value) and value > 0
