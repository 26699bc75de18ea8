"""What a probe is, and how one is made from the settings."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

MIN_SECRET = 4


class ProbeError(Exception):
    """A backend did not do what it should; the message says what, without secrets."""


@dataclass
class Probe(abc.ABC):
    """Checks one backend. Its dataclass fields are its options; secrets are ``repr=False``.

    One object serves one backend for the life of the process. It is called from
    one thread at a time, except that a call which did not come back in time goes on
    while the next one is made.
    """

    @abc.abstractmethod
    def check(self, timeout: float) -> None:
        """Return if the backend is well within ``timeout`` seconds; raise any Exception if not."""

    def close(self) -> None:  # noqa: B027 - most probes keep nothing
        """Let go of what is kept between checks."""

    def secrets(self) -> Iterator[str]:
        """Yield the values that no text may show: those of fields without ``repr``.

        What is shorter than `MIN_SECRET` would black out half of every text.
        """
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return secrets_in(type(self), values)


def secrets_in(cls: Any, options: Mapping[str, object]) -> Iterator[str]:
    """Yield the secret strings in ``options`` of the dataclass ``cls``, as `Probe.secrets` does."""
    for f in dataclasses.fields(cls):
        if not f.repr and f.name in options:
            yield from (s for s in _strings(options[f.name]) if len(s) >= MIN_SECRET)


def _strings(value: object) -> Iterator[str]:
    """Yield every string in ``value``, and those of its parts that errors quote alone."""
    if isinstance(value, str):
        yield value
        yield from value.split()  # "Bearer …"
        if "://" in value:
            yield from _parts_of_url(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _strings(item)


def _parts_of_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:  # what is no URL has no parts
        return
    yield from (parts.password or "", parts.path, *parts.path.split("/"))
    yield from (word for _, word in parse_qsl(parts.query))
