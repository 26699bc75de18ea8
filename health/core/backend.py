"""What is known of one backend, and how one observation changes it."""

from __future__ import annotations

from health.core.record import field, record, replace

LOCAL = "local"
SHARED = "shared"
SCOPES = (LOCAL, SHARED)
"""Whether a backend belongs to this host alone, or whether every host uses the same one."""


@record(frozen=True, slots=True)
class Observation:
    """What one check of a backend showed; ``latency`` is in seconds."""

    healthy: bool
    latency: float | None = None
    error: str | None = None


@record(frozen=True, slots=True)
class BackendHealth:
    """What is known of one backend.

    ``healthy`` is None until enough is known. ``last_check`` and ``since`` are Unix
    seconds, for people; ``checked`` is the last check on `health.core.clock`, from which
    ages are computed. ``max_age`` is how old a check may be, in seconds, before
    the state is stale (None: for ever). ``rise`` and ``fall`` are how many checks
    in a row it takes to become healthy or unhealthy. ``probed`` tells a configured
    backend from one that is only reported. ``told`` is the state that the webhook
    was told last.
    """

    name: str
    healthy: bool | None = None
    last_check: float | None = None
    checked: float | None = None
    consecutive_failures: int = 0
    consecutive_successes: int = 0
    latency: float | None = None
    since: float | None = None
    error: str | None = field(default=None, repr=False)
    max_age: float | None = None
    rise: int = 1
    fall: int = 1
    tags: tuple[str, ...] = ()
    scope: str = LOCAL
    probed: bool = False
    told: bool = True

    def configured_as(self, configured: BackendHealth) -> BackendHealth:
        """Return what is known, under the name's settings that ``configured`` carries."""
        return replace(
            self,
            max_age=configured.max_age,
            rise=configured.rise,
            fall=configured.fall,
            tags=configured.tags,
            scope=configured.scope,
            probed=True,
        )

    def without_state(self) -> BackendHealth:
        """Return the backend as it was before its first check."""
        return replace(
            self,
            healthy=None,
            checked=None,
            last_check=None,
            since=None,
            consecutive_failures=0,
            consecutive_successes=0,
        )

    def age(self, clock: float) -> float | None:
        """Return the seconds since the last check, or None when there was none."""
        return None if self.checked is None else max(0.0, clock - self.checked)

    def is_stale(self, clock: float) -> bool:
        """Whether the last check is older than it may be (False when there was none)."""
        return (
            self.max_age is not None
            and self.checked is not None
            and clock - self.checked > self.max_age
        )

    def state(self, clock: float) -> str:
        """Return ``healthy``, ``unhealthy``, ``stale`` or ``unknown``."""
        if self.healthy is None:
            return "unknown"
        if self.is_stale(clock):
            return "stale"
        return "healthy" if self.healthy else "unhealthy"

    @property
    def in_doubt(self) -> bool:
        """Whether the last checks speak against the state, but not yet often enough."""
        if self.healthy is None:
            return self.checked is not None
        return self.consecutive_failures > 0 if self.healthy else self.consecutive_successes > 0

    def observe(self, seen: Observation, *, at: float, clock: float) -> BackendHealth:
        """Return what is known after one more check, made ``at`` (Unix seconds).

        The first failure of a backend of which nothing was known makes it
        unhealthy; it takes ``rise`` successes to make it healthy.
        """
        failures = 0 if seen.healthy else self.consecutive_failures + 1
        successes = self.consecutive_successes + 1 if seen.healthy else 0
        healthy = self.healthy
        if seen.healthy and successes >= self.rise:
            healthy = True
        elif not seen.healthy and (healthy is None or failures >= self.fall):
            healthy = False
        return replace(
            self,
            healthy=healthy,
            last_check=at,
            checked=clock,
            consecutive_failures=failures,
            consecutive_successes=successes,
            latency=seen.latency,
            since=self.since if healthy is self.healthy else at,
            error=seen.error,
        )
