"""Policies: what is ready, and whose fault it is when not."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from health.core.backend import BackendHealth
from health.core.document import Document
from health.core.policy import POLICIES, judge

NOW = 1000.0


def backend(
    name: str, state: str, *, tags: tuple[str, ...] = (), shared: bool = False
) -> BackendHealth:
    """Return a backend that is in ``state`` at NOW."""
    return BackendHealth(
        name,
        healthy={"healthy": True, "unhealthy": False, "stale": True, "unknown": None}[state],
        checked=None if state == "unknown" else NOW - (100 if state == "stale" else 1),
        max_age=50,
        tags=tags,
        scope="shared" if shared else "local",
    )


UP, DOWN = backend("up", "healthy"), backend("down", "unhealthy")
STALE, NEW = backend("stale", "stale"), backend("new", "unknown")
CRITICAL_UP = backend("c-up", "healthy", tags=("critical",))
CRITICAL_DOWN = backend("c-down", "unhealthy", tags=("critical",))
CRITICAL_NEW = backend("c-new", "unknown", tags=("critical",))
SHARED_DOWN = backend("s-down", "unhealthy", shared=True)
SHARED_STALE = backend("s-stale", "stale", shared=True)


@pytest.mark.parametrize(
    ("policy", "backends", "shared_failure", "expected"),
    [
        ("any", [], "not_ready", ("not_ready", "no backends registered")),
        ("all", [], "not_ready", ("not_ready", "no backends registered")),
        ("critical", [], "not_ready", ("not_ready", "no backends registered")),
        ("any", [UP, DOWN], "not_ready", ("ready", None)),
        ("any", [DOWN], "not_ready", ("not_ready", None)),
        ("any", [STALE], "not_ready", ("unknown", "checker stale")),
        ("any", [DOWN, NEW], "not_ready", ("unknown", "checker stale")),
        ("all", [UP, DOWN], "not_ready", ("not_ready", None)),
        ("all", [UP], "not_ready", ("ready", None)),
        ("all", [UP, NEW], "not_ready", ("unknown", "checker stale")),
        ("all", [UP, STALE], "not_ready", ("unknown", "checker stale")),
        ("all", [DOWN, STALE], "not_ready", ("not_ready", None)),
        ("critical", [CRITICAL_UP, DOWN, STALE], "not_ready", ("ready", None)),
        ("critical", [CRITICAL_DOWN, UP], "not_ready", ("not_ready", None)),
        ("critical", [CRITICAL_NEW, UP], "not_ready", ("unknown", "checker stale")),
        ("all", [UP, SHARED_DOWN], "not_ready", ("not_ready", None)),
        ("all", [UP, SHARED_DOWN], "degraded", ("ready", "degraded")),
        ("any", [SHARED_DOWN], "degraded", ("ready", "degraded")),
        ("all", [DOWN, SHARED_DOWN], "degraded", ("not_ready", None)),
        ("all", [UP, SHARED_STALE], "degraded", ("unknown", "checker stale")),
        ("all", [UP], "degraded", ("ready", None)),
    ],
)
def test_verdicts(
    policy: str,
    backends: list[BackendHealth],
    shared_failure: str,
    expected: tuple[str, str | None],
) -> None:
    """Unknown and stale count as not healthy, and are named when they alone are to blame."""
    document = Document(backends=MappingProxyType({b.name: b for b in backends}))
    verdict = judge(document, clock=NOW, policy=POLICIES[policy], shared_failure=shared_failure)
    assert (verdict.status, verdict.reason) == expected


def test_draining_outweighs_everything() -> None:
    """A host that is about to stop is not ready, whatever its backends say."""
    document = Document(backends=MappingProxyType({"up": UP}))
    verdict = judge(document, clock=NOW, policy=POLICIES["any"], draining=True)
    assert (verdict.status, verdict.reason) == ("not_ready", "draining")


@pytest.mark.parametrize(
    ("stored", "backends", "expected"),
    [
        (("ready", None), [DOWN], ("ready", None)),
        (("not_ready", None), [UP], ("not_ready", None)),
        (("ready", "degraded"), [UP], ("ready", "degraded")),
        (("ready", None), [STALE], ("unknown", "checker stale")),
        (None, [UP], ("unknown", "checker stale")),
    ],
)
def test_a_policy_that_cannot_be_called_counts_by_what_was_stored_of_it(
    stored: tuple[str, str | None] | None,
    backends: list[BackendHealth],
    expected: tuple[str, str | None],
) -> None:
    """Without Django the prober's last verdict counts, while anything of it is fresh."""
    document = Document(
        backends=MappingProxyType({b.name: b for b in backends}),
        policy="project.policy",
        verdict=stored,
    )
    verdict = judge(document, clock=NOW, policy=None)
    assert (verdict.status, verdict.reason) == expected
