"""Everything that the processes share about the backends: one document, and its changes."""

from __future__ import annotations

import time

from health.core import clock
from health.core.backend import BackendHealth, Observation
from health.core.record import (
    TYPE_CHECKING,
    field,
    frozen_mapping,
    names_of,
    record,
    replace,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Change = Callable[["Document"], "Document"]
    """What a writer makes of the document that it finds."""

MAX_EVENTS = 500
"""How many changes a document remembers until they are recorded: each reader parses them."""


@record(frozen=True, slots=True)
class Event:
    """One change of a backend's state; ``was`` is None when it was not known."""

    sequence: int
    backend: str
    was: bool | None
    to: bool
    at: float
    error: str | None = field(default=None, repr=False)


@record(frozen=True, slots=True)
class Document:
    """Everything that the processes share: the backends, and what judges them.

    ``written`` is on the writer's `health.core.clock`, ``written_at`` in Unix seconds.
    ``policy`` and ``shared_failure`` are the settings of those names; ``verdict`` is
    the status and reason that they last led to, for readers that cannot call the policy.
    ``recorded`` is the sequence number of the last event that was stored and sent.
    ``damaged`` marks a document that could not be read.
    """

    backends: Mapping[str, BackendHealth] = field(default_factory=lambda: frozen_mapping({}))
    policy: str = "any"
    shared_failure: str = "not_ready"
    verdict: tuple[str, str | None] | None = None
    events: tuple[Event, ...] = ()
    sequence: int = 0
    recorded: int = 0
    boot: str = ""
    written: float = 0.0
    written_at: float = 0.0
    damaged: bool = False

    def observe(
        self, seen: Mapping[str, Observation], *, at: float, clock: float
    ) -> tuple[Document, tuple[Event, ...]]:
        """Return the document after these checks, and the changes that they made."""
        backends = dict(self.backends)
        events: list[Event] = []
        for name, observation in seen.items():
            before = backends.get(name) or BackendHealth(name)
            after = backends[name] = before.observe(observation, at=at, clock=clock)
            if after.healthy is not None and after.healthy is not before.healthy:
                sequence = self.sequence + len(events) + 1
                events.append(
                    Event(sequence, name, before.healthy, after.healthy, at, observation.error)
                )
        changed = replace(
            self.with_backends(backends),
            events=(*self.events, *events)[-MAX_EVENTS:],
            sequence=self.sequence + len(events),
        )
        return changed, tuple(events)

    # --- backends -----------------------------------------------------------------------

    def with_backends(self, backends: Mapping[str, BackendHealth]) -> Document:
        """Return the document with ``backends`` in place of its own."""
        return replace(self, backends=frozen_mapping(backends))

    def declare(self, configured: Iterable[BackendHealth]) -> Document:
        """Return the document with ``configured`` as the probed backends.

        What is known of them stays. A backend that was probed before and is not among
        them goes; one that is only reported stays.
        """
        wanted = {b.name: b for b in configured}
        kept = {name: b for name, b in self.backends.items() if name in wanted or not b.probed}
        declared = {name: kept.get(name, b).configured_as(b) for name, b in wanted.items()}
        return self.with_backends(kept | declared)

    def including(self, configured: Iterable[BackendHealth]) -> Document:
        """Return the document with those of ``configured`` that it lacks, as never checked."""
        missing = {b.name: b for b in configured if b.name not in self.backends}
        return self.with_backends({**self.backends, **missing}) if missing else self

    def without(self, name: str) -> Document:
        """Return the document without the backend ``name``."""
        return self.with_backends({n: b for n, b in self.backends.items() if n != name})

    def cleared(self) -> Document:
        """Return the document without any backend and without a verdict."""
        return replace(self.with_backends({}), verdict=None)

    def with_max_age(self, name: str, max_age: float | None) -> Document:
        """Return the document with ``max_age`` (seconds) for a backend that is only reported."""
        before = self.backends.get(name) or BackendHealth(name)
        if before.probed or before.max_age == max_age:
            return self
        return self.with_backends({**self.backends, name: replace(before, max_age=max_age)})

    def with_told(self, told: Mapping[str, bool]) -> Document:
        """Return the document with the states that the webhook was told, by name."""
        backends = {
            name: replace(b, told=told[name]) if name in told else b
            for name, b in self.backends.items()
        }
        return self.with_backends(backends)

    def forgetting_states(self) -> Document:
        """Return the document with its backends known by name only."""
        return self.with_backends({name: b.without_state() for name, b in self.backends.items()})

    def shifted(self, offset: float) -> Document:
        """Return the document with its times on a clock that is ``offset`` seconds ahead."""
        backends = {
            name: b if b.checked is None else replace(b, checked=b.checked + offset)
            for name, b in self.backends.items()
        }
        return replace(self.with_backends(backends), written=self.written + offset)

    # --- the rest -----------------------------------------------------------------------

    def recorded_up_to(self, sequence: int) -> Document:
        """Return the document without the events up to ``sequence``, which are recorded."""
        return replace(
            self,
            recorded=max(self.recorded, sequence),
            events=tuple(event for event in self.events if event.sequence > sequence),
        )

    def judged(
        self, verdict: tuple[str, str | None], *, policy: str, shared_failure: str
    ) -> Document:
        """Return the document with a verdict on it, and the settings that led to it."""
        return replace(self, policy=policy, shared_failure=shared_failure, verdict=verdict)

    def stamped(self) -> Document:
        """Return the document with the time of writing, here and now."""
        return replace(
            self,
            boot=clock.boot_id(),
            written=clock.now(),
            written_at=time.time(),
            damaged=False,
        )


_BACKEND_FIELDS = names_of(BackendHealth)
_EVENT_FIELDS = names_of(Event)
_PLAIN_FIELDS = tuple(
    name for name in names_of(Document) if name not in {"backends", "events", "damaged"}
)


def dump(document: Document) -> bytes:
    """Return ``document`` as JSON."""
    import json

    data: dict[str, Any] = {name: getattr(document, name) for name in _PLAIN_FIELDS}
    data["backends"] = [
        {name: getattr(b, name) for name in _BACKEND_FIELDS} for b in document.backends.values()
    ]
    data["events"] = [{name: getattr(e, name) for name in _EVENT_FIELDS} for e in document.events]
    return json.dumps(data, separators=(",", ":")).encode()


def load(content: bytes) -> Document:
    """Parse what `dump` wrote; keys of a later version are passed over.

    Raises ValueError for anything else.
    """
    import json

    try:
        data = json.loads(content)
        backends = {item["name"]: _backend(item) for item in data["backends"]}
        events = tuple(
            Event(**{name: item[name] for name in _EVENT_FIELDS}) for item in data["events"]
        )
        plain = {name: data[name] for name in _PLAIN_FIELDS if name in data}
        if plain.get("verdict") is not None:
            status, reason = plain["verdict"]
            plain["verdict"] = (status, reason)
        return Document(backends=frozen_mapping(backends), events=events, **plain)
    except (KeyError, TypeError, AttributeError, RecursionError) as e:
        raise ValueError(f"not a health document: {e!r}") from e


def _backend(item: Mapping[str, Any]) -> BackendHealth:
    known = {name: item[name] for name in _BACKEND_FIELDS if name in item}
    known["tags"] = tuple(known.get("tags", ()))
    return BackendHealth(**known)
