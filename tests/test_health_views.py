"""GET /health, /ready and /started: exact answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client, override_settings

from health import drain
from health.board import BOARD
from health.config import declare, parse

DATABASE = {"PROBE": "health.probes.DatabaseProbe"}


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """Each test begins with an empty board and without a drain mark, and leaves none."""
    BOARD.clear()
    drain.unmark()
    yield
    BOARD.clear()
    drain.unmark()


def answer(path: str, **extra: Any) -> tuple[int, str, str]:
    """Return status, content type and body of a GET."""
    response = Client().get(path, **extra)
    return response.status_code, response.headers["Content-Type"], response.content.decode()


JSON = "application/json"
NO_BACKENDS = '{"status": "not_ready", "reason": "no backends registered"}'
STALE = '{"status": "not_ready", "reason": "checker stale"}'
DRAINING = '{"status": "not_ready", "reason": "draining"}'


def test_health_asks_nothing_of_any_backend() -> None:
    """Liveness is 200 however ill the backends are."""
    BOARD.report("db", False)
    assert answer("/health") == (200, JSON, '{"status": "ok"}')


def test_not_ready_without_backends() -> None:
    """No backend known is not ready, and says so."""
    assert answer("/ready") == (503, JSON, NO_BACKENDS)


def test_ready_with_a_healthy_backend() -> None:
    """One healthy backend of two is enough for the policy any."""
    BOARD.report("a", True)
    BOARD.report("b", False)
    assert answer("/ready") == (200, JSON, '{"status": "ready"}')


def test_not_ready_when_every_backend_is_unhealthy() -> None:
    """Backends that are known to be ill give no reason to the public."""
    BOARD.report("a", False, error="refused")
    BOARD.report("b", False)
    assert answer("/ready") == (503, JSON, '{"status": "not_ready"}')


def test_a_backend_that_was_never_checked_is_not_healthy() -> None:
    """A configured backend without a check makes the checker suspect, not the backend."""
    with override_settings(SENTINEL_BACKENDS={"db": DATABASE}):
        assert answer("/ready") == (503, JSON, STALE)


def test_not_ready_while_draining() -> None:
    """The drain mark outweighs healthy backends, and goes again."""
    BOARD.report("a", True)
    drain.mark()
    assert answer("/ready") == (503, JSON, DRAINING)
    assert answer("/health") == (200, JSON, '{"status": "ok"}')
    drain.unmark()
    assert answer("/ready")[0] == 200


def test_stale_is_said_to_be_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check older than three intervals and a timeout counts for nothing."""
    from health import clock

    backends = parse({"db": DATABASE})
    BOARD.update(lambda document: declare(document, backends))
    BOARD.report("db", True)
    assert answer("/ready") == (200, JSON, '{"status": "ready"}')
    later = clock.now() + 33
    monkeypatch.setattr(clock, "now", lambda: later)
    assert answer("/ready") == (503, JSON, STALE)


def test_exclude_passes_a_backend_over() -> None:
    """What is excluded counts neither for nor against."""
    BOARD.report("a", True)
    BOARD.report("b", False)
    assert answer("/ready?exclude=a") == (503, JSON, '{"status": "not_ready"}')
    assert answer("/ready?exclude=b") == (200, JSON, '{"status": "ready"}')
    assert answer("/ready?exclude=a&exclude=b") == (503, JSON, NO_BACKENDS)


def test_started_waits_for_the_first_check_of_each_backend() -> None:
    """A startup probe is 503 until everything was checked once, whatever came of it."""
    assert answer("/started") == (200, JSON, '{"status": "started"}')
    with override_settings(SENTINEL_BACKENDS={"db": DATABASE}):
        assert answer("/started") == (503, JSON, '{"status": "starting"}')
        BOARD.report("db", False)
        assert answer("/started") == (200, JSON, '{"status": "started"}')


@pytest.mark.parametrize("path", ["/health", "/ready", "/started"])
def test_every_answer_may_not_be_stored_and_sets_no_cookie(path: str) -> None:
    """Probes get no cookie, and proxies may keep nothing."""
    response = Client().get(path)
    assert response.headers["Cache-Control"] == "no-store"
    assert not response.cookies


@pytest.mark.parametrize("path", ["/health", "/ready", "/started"])
def test_head_works_and_other_methods_do_not(path: str) -> None:
    """HEAD has GET's status and no body; the rest is 405 with Allow."""
    get, head = Client().get(path), Client().head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        response = Client().generic(method, path)
        assert response.status_code == 405
        assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_are_answered_whatever_the_host_and_the_scheme(path: str) -> None:
    """The pod's address as Host and SECURE_SSL_REDIRECT stop no probe, yet still all else."""
    BOARD.report("a", True)
    with override_settings(ALLOWED_HOSTS=["example.org"], SECURE_SSL_REDIRECT=True):
        assert answer(path, headers={"host": "10.1.2.3:9201"})[0] == 200
        client = Client(headers={"host": "10.1.2.3:9201"})
        assert client.get("/admin/").status_code in (301, 400)
