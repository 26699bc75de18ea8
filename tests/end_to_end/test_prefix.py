"""A service that is served under a prefix: both ports over real servers."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.support import harness

PATHS = ("/health", "/ready", "/started", "/metrics")


def statuses(port: int, prefix: str, headers: dict[str, str] | None = None) -> list[int]:
    """Return what GET of each endpoint below ``prefix`` is answered with."""
    return [harness.get(port, prefix + path, headers).status for path in PATHS]


def become_ready(port: int, prefix: str = "") -> None:
    """Wait until the backend of the sample project has been checked."""
    path = f"{prefix}/ready"
    harness.wait_until(lambda: harness.get(port, path).status == 200, f"{path} is 200")


@pytest.mark.parametrize("prefix", ["/shop", "/shop/", "/health"])
def test_the_health_server_answers_with_and_without_the_prefix(tmp_path: Path, prefix: str) -> None:
    """SCRIPT_NAME in the environment is the application's; a reload by HUP changes nothing."""
    with harness.serve(tmp_path, env={"SCRIPT_NAME": prefix}) as server:
        become_ready(server.health_port)
        [old] = server.family().health_workers
        assert statuses(server.health_port, "") == [200, 200, 200, 200]
        assert statuses(server.health_port, prefix.rstrip("/")) == [200, 200, 200, 200]
        assert harness.get(server.health_port, "/other/health").status == 404
        server.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: not old.is_running(), "a new worker")
        become_ready(server.health_port)
        assert statuses(server.health_port, "") == [200, 200, 200, 200]


def test_the_health_server_answers_whatever_prefix_a_proxy_names(tmp_path: Path) -> None:
    """The header that gunicorn takes from a trusted proxy turns no probe away."""
    with harness.serve(tmp_path) as server:
        become_ready(server.health_port)
        headers = {"SCRIPT_NAME": "/shop"}
        assert statuses(server.health_port, "", headers) == [200, 200, 200, 200]
        assert statuses(server.health_port, "/shop", headers) == [200, 200, 200, 200]


def test_a_forced_prefix_leaves_the_paths_as_they_are(tmp_path: Path) -> None:
    """FORCE_SCRIPT_NAME changes the addresses that Django makes, not those that it answers."""
    (tmp_path / "forced.py").write_text(
        'from sentinel_project.settings import *\nFORCE_SCRIPT_NAME = "/shop"\n'
    )
    env = {"DJANGO_SETTINGS_MODULE": "forced", "PYTHONPATH": str(tmp_path)}
    with harness.serve(tmp_path, env=env) as server:
        become_ready(server.health_port)
        for port in (server.health_port, server.port):
            assert statuses(port, "") == [200, 200, 200, 200]


@pytest.mark.parametrize(
    ("worker_class", "env", "options"),
    [
        ("sync", {"SCRIPT_NAME": "/shop"}, []),
        ("gthread", {"SCRIPT_NAME": "/shop"}, []),
        ("asgi", {}, ["--root-path", "/shop"]),
    ],
)
def test_the_applications_port_answers_below_its_prefix(
    tmp_path: Path, worker_class: str, env: dict[str, str], options: list[str]
) -> None:
    """The middlewares look at the path behind the prefix, under every kind of worker."""
    # where the prefix is, by the middleware and not by the URLs: no host is allowed
    env = {**env, "SENTINEL_ALLOWED_HOSTS": "shop.example.org"}
    argv = [
        sys.executable,
        str(Path(sys.executable).with_name("gunicorn")),
        "-c",
        "gunicorn.conf.py",
    ]
    module = "asgi" if worker_class == "asgi" else "wsgi"
    argv += ["--workers", "1", "--worker-class", worker_class, *options]
    argv += [f"sentinel_project.{module}:application"]
    with harness.Server(argv, tmp_path, env=env) as server:
        server.wait_serving()
        become_ready(server.port, "/shop")
        assert statuses(server.port, "/shop") == [200, 200, 200, 200]
        assert harness.get(server.port, "/shop/admin/login/").status == 400


def test_uvicorns_root_path_is_a_prefix_like_any_other(tmp_path: Path) -> None:
    """Uvicorn puts the prefix before each path by itself; the middlewares answer behind it."""
    with harness.uvicorn(tmp_path, "--root-path", "/shop") as port:
        become_ready(port)
        assert statuses(port, "") == [200, 200, 200, 200]
