"""gunicorn's hooks: what a worker takes at once, and settings that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from health.supervisor import hooks


@pytest.mark.parametrize(
    ("worker_class", "threads", "expected"),
    [("sync", 1, 1), ("sync", 4, 4), ("gthread", 8, 8), ("gevent", 1, 1000), ("asgi", 1, 1000)],
)
def test_capacity_of_a_worker_class(worker_class: str, threads: int, expected: int) -> None:
    """Sync takes one request, gthread one a thread, the others one a connection."""
    from gunicorn.config import Config

    cfg = Config()
    cfg.set("worker_class", worker_class)
    cfg.set("threads", threads)
    assert hooks.capacity(cfg) == expected


def test_settings_that_cannot_be_read_leave_gunicorn_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without them TERM does not drain; that is said, and nothing else changes."""

    def broken(begin: bool) -> dict[str, Any]:
        raise ValueError("SENTINEL_DRAIN_SECONDS must be a number")

    monkeypatch.setattr(hooks, "_prepare", broken)
    monkeypatch.setattr(hooks, "_service", None)
    monkeypatch.setattr("metrics.system.process_kind._declared", None)
    hooks.on_starting(None)
    assert hooks._service is None
    assert caplog.records[-1].getMessage() == (
        "sentinel: TERM will not drain, the settings could not be read: see the traceback above"
    )
