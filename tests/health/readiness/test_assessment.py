"""The verdict of the process: policies of the site, and boards that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from django.test import override_settings

from health.board import BOARD
from health.board.health_map import BackendHealthMap
from health.readiness import assessment
from metrics.system.failure_log import FailureLog

if TYPE_CHECKING:
    from health.core.policy import Backends


def two_are_enough(backends: Backends) -> bool:
    """Be a policy of a project's own."""
    return sum(bool(b.healthy) for b in backends.values()) >= 2


def broken(backends: Backends) -> bool:
    """Be a policy with a fault."""
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("path", "names", "expected"),
    [
        (f"{__name__}.two_are_enough", ["a"], ("not_ready", None)),
        (f"{__name__}.two_are_enough", ["a", "b"], ("ready", None)),
        (f"{__name__}.broken", ["a", "b"], ("not_ready", None)),
    ],
)
def test_a_policy_by_its_dotted_path(
    path: str, names: list[str], expected: tuple[str, str | None]
) -> None:
    """A function of the project decides; one that raises means not ready."""
    from health.board import BOARD

    BOARD.clear()
    try:
        for name in names:
            BOARD.report(name, True)
        with override_settings(SENTINEL_READINESS=path):
            verdict = assessment.current()
    finally:
        BOARD.clear()
    assert (verdict.status, verdict.reason) == expected


def picky(backends: Mapping[str, Any]) -> bool:
    """Ask for a backend that may be excluded."""
    return bool(backends["d"].healthy)


def test_a_policy_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Anybody may ask, as often as they like, for what a policy did not expect."""
    board = BackendHealthMap()
    for name in ("c", "d"):
        board.report(name, True)
    with (
        override_settings(SENTINEL_READINESS=f"{__name__}.picky"),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(assessment, "BOARD", board)
        log = FailureLog(assessment.logger, most=assessment.MOST_LOGGED)
        patch.setattr(assessment, "_failures", log)
        assert assessment.assess().is_ready
        for _ in range(3):
            assert assessment.assess(exclude=["d"]).status == "not_ready"
        for number in range(2 * assessment.MOST_LOGGED):
            assessment._log_failure("a policy", ValueError(number))
    lines = [r.message for r in caplog.records if r.name == "health.readiness.assessment"]
    assert lines[0] == f"the readiness policy {__name__}.picky failed, so not ready"
    assert len(lines) == assessment.MOST_LOGGED


@override_settings(
    SENTINEL_HEALTH_STORE="cache:default",
    SENTINEL_BACKENDS={"b": {"PROBE": "a.b"}},
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    },
)
def test_a_cache_that_was_never_there_is_the_checkers_fault() -> None:
    """A board that cannot be read says so, and does not call the backends ill."""
    verdict = assessment.current()
    assert (verdict.status, verdict.reason) == ("unknown", "checker stale")
    BOARD.report("b", True)  # a gateway's request goes on, whatever the cache raises
