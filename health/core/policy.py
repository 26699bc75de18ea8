"""Readiness from what is known of the backends: a pure function of a document and a moment.

Only the standard library is imported here, so that ``sentinel-health`` starts quickly.
"""

from __future__ import annotations

from health.core.backend import SHARED, BackendHealth
from health.core.document import Document
from health.core.record import TYPE_CHECKING, frozen_mapping, record, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Backends = Mapping[str, BackendHealth]
    Policy = Callable[[Backends], bool]
    """Whether the service is ready with these backends, each of which is healthy or not.

    ``healthy`` is True for what may be relied on and False for all else; a stale or
    unknown state never comes as True.
    """

READY = "ready"
NOT_READY = "not_ready"
UNKNOWN = "unknown"

NO_BACKENDS = "no backends registered"
NONE_SELECTED = "no backends selected"
"""There are backends, but all are excluded or none has the tag: nothing speaks for readiness."""

DRAINING = "draining"
STALE = "checker stale"
DEGRADED = "degraded"

CRITICAL = "critical"
"""The tag that the policy of the same name asks for."""


def any_healthy(backends: Backends) -> bool:
    """Ready while one backend is healthy."""
    return any(b.healthy for b in backends.values())


def all_healthy(backends: Backends) -> bool:
    """Ready while every backend is healthy."""
    return all(b.healthy for b in backends.values())


def critical_healthy(backends: Backends) -> bool:
    """Ready while every backend that is tagged ``critical`` is healthy."""
    return all(b.healthy for b in backends.values() if CRITICAL in b.tags)


POLICIES: Mapping[str, Policy] = frozen_mapping(
    {"any": any_healthy, "all": all_healthy, "critical": critical_healthy}
)


@record(frozen=True, slots=True)
class Verdict:
    """What readiness says, and of which backends.

    ``status`` is ``ready``, ``not_ready`` or ``unknown`` (not ready, because too
    little is known); ``reason`` is one of this module's, or None. ``age`` is the
    seconds since the latest check of any backend. ``valid_until`` is when, on
    `health.core.clock`, time alone may change the verdict.
    """

    status: str
    reason: str | None
    backends: Backends
    clock: float
    age: float | None = None
    valid_until: float = float("inf")

    @property
    def is_ready(self) -> bool:
        """Whether traffic may come."""
        return self.status == READY


def judge(
    document: Document,
    *,
    clock: float,
    policy: Policy | None,
    shared_failure: str = NOT_READY,
    draining: bool = False,
    exclude: Collection[str] = (),
    tags: Collection[str] = (),
) -> Verdict:
    """Return the verdict of ``policy`` on the backends of ``document`` at ``clock``.

    ``policy`` None means one that cannot be called here: what the prober stored of
    its verdict counts. Backends in ``exclude`` are passed over as if they were not
    there; with ``tags`` only those that carry one of them count; if none is left the
    policy is not asked and the verdict is not ready. With
    ``shared_failure`` ``"degraded"`` the failures of shared backends alone do not
    end readiness. Whatever ``policy`` raises passes through.
    """
    backends = {
        name: b
        for name, b in document.backends.items()
        if name not in exclude and (not tags or not set(tags).isdisjoint(b.tags))
    }
    status: str
    reason: str | None
    if draining:
        status, reason = NOT_READY, DRAINING
    elif document.damaged:
        status, reason = UNKNOWN, STALE
    elif not backends:
        status, reason = NOT_READY, NONE_SELECTED if document.backends else NO_BACKENDS
    elif policy is not None:
        status, reason = _decide(backends, clock, policy, shared_failure == DEGRADED)
    else:
        known = any(b.state(clock) not in ("unknown", "stale") for b in backends.values())
        status, reason = (document.verdict if known else None) or (UNKNOWN, STALE)
    checks = [b.checked for b in backends.values() if b.checked is not None]
    ends = [
        b.checked + b.max_age
        for b in backends.values()
        if b.checked is not None and b.max_age is not None and not b.is_stale(clock)
    ]
    return Verdict(
        status=status,
        reason=reason,
        backends=frozen_mapping(backends),
        clock=clock,
        age=max(0.0, clock - max(checks)) if checks else None,
        valid_until=min(ends, default=float("inf")),
    )


def _decide(
    backends: Backends, clock: float, policy: Policy, pardon_shared: bool
) -> tuple[str, str | None]:
    """Ask the policy, and if it says no, ask whose fault that is."""
    states = {name: b.state(clock) for name, b in backends.items()}

    def met(*accepted: str, shared: bool = False) -> bool:
        return policy(
            {
                name: replace(
                    b,
                    healthy=states[name] in accepted
                    or (shared and b.scope == SHARED and states[name] == "unhealthy"),
                )
                for name, b in backends.items()
            }
        )

    if met("healthy"):
        return READY, None
    if pardon_shared and met("healthy", shared=True):
        return READY, DEGRADED
    if met("healthy", "unknown", "stale"):
        return UNKNOWN, STALE
    return NOT_READY, None
