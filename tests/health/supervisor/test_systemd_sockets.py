"""Sockets that systemd passes on."""

from __future__ import annotations

import os

import pytest

from health.supervisor.systemd_sockets import Sockets, take


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Sockets()),
        ({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, Sockets()),
        ({"LISTEN_PID": "me", "LISTEN_FDS": "1"}, Sockets(application=3)),
        ({"LISTEN_PID": "me", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "health"}, Sockets(health=3)),
        (
            {"LISTEN_PID": "me", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:health"},
            Sockets(application=3, health=4),
        ),
    ],
)
def test_which_socket_is_whose(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: Sockets
) -> None:
    """Sockets of another process are none of ours, and nothing of it is passed on."""
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(os.getpid()) if value == "me" else value)
    assert take() == expected
    assert not any(name.startswith("LISTEN_") for name in os.environ)
