"""What is known of backends, and how one observation changes it.

Only the standard library is imported here, so that ``sentinel-health`` starts quickly.
"""

from __future__ import annotations

from health.core.record import TYPE_CHECKING, field, names_of, record, replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any
from health.core.backend import BackendHealth, Observation, frozen_mapping

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
    the status and reason that they last led to, for those who cannot call the policy.
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
            self,
            backends=frozen_mapping(backends),
            events=(*self.events, *events)[-MAX_EVENTS:],
            sequence=self.sequence + len(events),
        )
        return changed, tuple(events)

    def recorded_up_to(self, sequence: int) -> Document:
        """Return the document without the events up to ``sequence``, which are recorded."""
        return replace(
            self,
            recorded=max(self.recorded, sequence),
            events=tuple(event for event in self.events if event.sequence > sequence),
        )

    def shifted(self, offset: float) -> Document:
        """Return the document with its times on a clock that is ``offset`` seconds ahead."""
        backends = {
            name: b if b.checked is None else replace(b, checked=b.checked + offset)
            for name, b in self.backends.items()
        }
        return replace(self, backends=frozen_mapping(backends), written=self.written + offset)

    def forgetting_states(self) -> Document:
        """Return the document with its backends known by name only."""
        backends = {
            name: replace(
                b,
                healthy=None,
                checked=None,
                last_check=None,
                since=None,
                consecutive_failures=0,
                consecutive_successes=0,
            )
            for name, b in self.backends.items()
        }
        return replace(self, backends=frozen_mapping(backends))


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
