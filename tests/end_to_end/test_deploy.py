"""The files in deploy/ say what is true, and what they start works."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import harness

DEPLOY = harness.ROOT / "deploy"

ACTIVATE = Path(__file__).parent / "programs" / "activate.py"


def listening() -> socket.socket:
    """Return a socket that listens, as systemd keeps one."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.set_inheritable(True)
    return sock


def activated(
    tmp_path: Path, sockets: list[socket.socket], names: str, *words: str
) -> harness.Program:
    """Start ``manage.py`` as a service that systemd activates."""
    fds = [s.fileno() for s in sockets]
    argv = [sys.executable, str(ACTIVATE), ",".join(map(str, fds)), names, "manage.py", *words]
    env = harness.project_env(tmp_path)
    return harness.Program(argv, log=tmp_path / "activated.log", env=env, pass_fds=fds)


def test_serve_takes_both_sockets_and_no_connection_is_refused(tmp_path: Path) -> None:
    """The named socket is the health server's; over a restart connections only wait."""
    with listening() as health, listening() as application:
        port, health_port = application.getsockname()[1], health.getsockname()[1]
        words = ("serve", "--workers", "1")
        with activated(tmp_path, [health, application], "health:application", *words):
            assert harness.post(port, "/tools/echo", 1).body == b"1"
            assert harness.get(health_port, "/health").status == 200
        waiting = socket.create_connection(("127.0.0.1", port))
        waiting.settimeout(harness.PATIENCE_SECONDS)
        waiting.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with activated(tmp_path, [health, application], "health:application", *words):
            assert waiting.recv(4096).startswith(b"HTTP/1.1 200 OK")
        waiting.close()


def test_health_server_takes_its_socket(tmp_path: Path) -> None:
    """As a unit of its own it serves on the one socket that it is given."""
    with listening() as health, activated(tmp_path, [health], "health", "health_server"):
        answer = harness.get(health.getsockname()[1], "/health")
        assert answer.json()["reason"] == "application not started"


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """``systemd-analyze verify`` has nothing to say about them."""
    verify = harness.require_program("systemd-analyze", "systemd")
    home = tmp_path / "sentinel"
    (home / ".venv/bin").mkdir(parents=True)
    (home / "docs").mkdir()
    python = home / ".venv/bin/python"
    python.symlink_to(sys.executable)
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("/srv/sentinel", str(home))
        text = text.replace("User=sentinel", "User=root").replace("Group=sentinel", "Group=root")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        [verify, "verify", "--man=no", *map(str, sorted(tmp_path.glob("sentinel*.s*")))],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    ours = [line for line in done.stderr.decode().splitlines() if "sentinel" in line]
    assert ours == []
    assert done.returncode == 0, done.stderr.decode()


def test_the_manifests_fit_their_schema() -> None:
    """Every Kubernetes object is valid, with no field that the schema does not know."""
    if importlib.util.find_spec("kubernetes_validate") is None:
        reason = "kubernetes_validate is missing: pip install kubernetes-validate"
        if os.environ.get("SENTINEL_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    import kubernetes_validate
    import yaml

    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    for document in documents:
        kubernetes_validate.validate(document, "1.31", strict=True)
    assert [d["kind"] for d in documents] == ["Deployment", "Service"]
    container = documents[0]["spec"]["template"]["spec"]["containers"][0]
    assert {name: container[name]["httpGet"] for name in container if name.endswith("Probe")} == {
        "startupProbe": {"path": "/started", "port": "health"},
        "livenessProbe": {"path": "/health", "port": "health"},
        "readinessProbe": {"path": "/ready", "port": "health"},
    }
    assert "lifecycle" not in container


def test_what_the_container_runs_works_as_pid_1(tmp_path: Path) -> None:
    """The container file's own command, in a process namespace: TERM ends it with status 0."""
    unshare = harness.require_program("unshare", "util-linux")
    probe = subprocess.run([unshare, "--pid", "--fork", "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("this machine lets us make no process namespace")
    match = re.search(r"^CMD (\[.*\])$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert match
    command = json.loads(match[1])
    assert command[:3] == ["python", "manage.py", "serve"]
    port, health_port = harness.free_port(), harness.free_port()
    words = [w.replace("0.0.0.0:8000", f"127.0.0.1:{port}") for w in command[1:]]
    words = [w.replace("0.0.0.0:9201", f"127.0.0.1:{health_port}") for w in words]
    argv = [unshare, "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, *words]
    env = {**harness.project_env(tmp_path), "SENTINEL_WORKERS": "1"}
    with harness.Program(argv, log=tmp_path / "container.log", env=env) as container:
        container.wait_ready(lambda: not harness.is_free(port), "the application")
        assert harness.post(port, "/tools/echo", 1).status == 200
        first = [p for p in container.members() if p.ppid() == container.pid]
        first[0].send_signal(signal.SIGTERM)
        assert container.wait_gone() == 0
        assert harness.is_free(port)
        assert harness.is_free(health_port)
