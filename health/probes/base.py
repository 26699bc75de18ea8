"""What a probe is, and how one is made from the settings."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from health.redact import secrets_in


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

    def doubts(self) -> Iterator[str]:
        """Yield why, where this process runs, the checks would tell less than they seem to.

        ``manage.py check`` asks, and warns; what can never be right is a ValueError of the
        class instead.
        """
        yield from ()

    def secrets(self) -> Iterator[str]:
        """Yield the values that no text may show: those of fields without ``repr``.

        What is shorter than `health.redact.MIN_SECRET` would black out half of every text.
        """
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return secrets_in(type(self), values)
