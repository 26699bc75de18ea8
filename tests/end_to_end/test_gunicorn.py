"""Gunicorn started by hand with the project's gunicorn.conf.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import harness


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent", "asgi"])
def test_gateway_works_under_every_worker_class(tmp_path: Path, worker_class: str) -> None:
    """Each worker class serves the sample gateway on both addresses."""
    options = ["--threads", "2"] if worker_class == "gthread" else []
    with harness.gunicorn(tmp_path, worker_class=worker_class, options=options) as server:
        server.wait_serving(server.health_port)
        answer = harness.post(server.port, "/tools/echo", {"a": 1})
        assert (answer.status, answer.body) == (200, b'{"a": 1}')
        assert harness.post(server.port, "/tools/sleep", {"seconds": 0.01}).status == 200
        assert harness.post(server.health_port, "/tools/fail", {}).status == 500
    assert harness.is_free(server.port)
    assert harness.is_free(server.health_port)


def test_the_health_address_can_be_left_to_another_process(tmp_path: Path) -> None:
    """An empty SENTINEL_HEALTH_BIND leaves that address to a health server."""
    with harness.gunicorn(tmp_path, env={"SENTINEL_HEALTH_BIND": ""}) as server:
        assert harness.post(server.port, "/tools/echo", 1).status == 200
        assert harness.is_free(server.health_port)
