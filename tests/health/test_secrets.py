"""Credentials of backends, followed from the settings to everything that people see."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import Client, override_settings

from health.board import BOARD
from health.board.announce import announce
from health.board.health_map import BackendHealthMap
from health.board.stores.file import FileStore
from health.conf import conf
from health.models import Transition
from health.prober import autostart
from health.prober.history import Recorder
from health.prober.leader import Prober
from health.prober.webhook import WebhookError
from health.probes import Probe
from tests.support.harness import free_port, wait_until

SECRET = "s3cr3t-Pa55word"


def careless(token: str) -> None:
    """Raise what holds everything it was given."""
    raise ConnectionError(f"GET https://bob:{token}@h/?token={token} with Bearer {token}")


@dataclasses.dataclass
class CarelessProbe(Probe):
    """Tells its secret in its error, in the middle of a word."""

    token: str = dataclasses.field(repr=False)

    def check(self, timeout: float) -> None:
        """Fail."""
        raise ValueError(f"<{self.token}>")


def backends(port: int) -> dict[str, Any]:
    """Return backends that fail, each with the secret somewhere in its options."""
    url = f"http://127.0.0.1:{port}/hook/{SECRET}?key={SECRET}"
    bearer = {"Authorization": f"Bearer {SECRET}"}
    options: dict[str, dict[str, Any]] = {
        "health.probes.HTTPProbe": {"url": url, "headers": bearer, "auth": ["bob", SECRET]},
        "health.probes.RedisProbe": {"url": f"redis://:{SECRET}@127.0.0.1:{port}/0"},
        "health.probes.MCPProbe": {"url": url, "headers": bearer},
        "health_check.checks.DNS": {"hostname": f"{SECRET}.invalid"},
        f"{__name__}.careless": {"token": SECRET},
        f"{__name__}.CarelessProbe": {"token": SECRET},
    }
    found = {path.rpartition(".")[2]: {"PROBE": path, "OPTIONS": o} for path, o in options.items()}
    stdio = {"command": ["/no/such/program", SECRET], "env": {"TOKEN": SECRET}}
    found["stdio"] = {"PROBE": "health.probes.MCPProbe", "OPTIONS": stdio}
    return found


@pytest.fixture
def _service(tmp_path: Path) -> Iterator[None]:
    """Configure it all, with a run directory."""
    port = free_port()
    with override_settings(
        SENTINEL_RUN_DIR=str(tmp_path / "run"),
        SENTINEL_BACKENDS=backends(port),
        SENTINEL_HEALTH_DETAILS={"BEARER": ["eyes"]},
        SENTINEL_WEBHOOK={"URL": f"http://127.0.0.1:{port}/{SECRET}", "HEADERS": {"X": SECRET}},
    ):
        yield


@pytest.mark.django_db
@pytest.mark.usefixtures("_service")
def test_no_secret_is_shown_anywhere(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    client: Client,
) -> None:
    """Not in the log, the board's file, any answer, the admin, the commands, nor the database."""
    monkeypatch.setattr(autostart, "_own", (os.getpid(), None))  # the views start none
    caplog.set_level(logging.DEBUG, logger="health")
    board = BackendHealthMap(FileStore(tmp_path / "run"), announce=announce)
    prober = Prober(board)  # without a recorder of its own, which would write from a thread
    prober.start()
    names = set(conf.backends)
    try:
        wait_until(
            lambda: {n for n, b in BOARD.snapshot().items() if b.healthy is False} == names,
            "every backend unhealthy",
        )
    finally:
        prober.stop()
    recorder = Recorder(BOARD)
    recorder.store()
    with pytest.raises(WebhookError) as unheard:
        recorder.tell()
    assert set(Transition.objects.values_list("backend", flat=True)) == names

    client.force_login(User.objects.create_superuser("root"))
    eyes = {"authorization": "Bearer eyes"}
    pages = ["/admin/sentinel_health/backend/", "/admin/sentinel_health/transition/"]
    seen = [client.get(page).content.decode() for page in pages]
    for accept in ("application/json", "text/html", "application/health+json"):
        answer = client.get("/ready?verbose", headers={"accept": accept, **eyes})
        assert "ConnectionError" in answer.content.decode()  # permitted eyes do see errors
        seen.append(answer.content.decode())
    with pytest.raises(SystemExit):
        call_command("health_status", "--format", "json")
    with pytest.raises(SystemExit):
        call_command("probe_backends")
    seen += capsys.readouterr()
    seen.append((tmp_path / "run" / "health" / "board").read_text())
    seen.append(json.dumps(list(Transition.objects.values_list("error", flat=True))))
    seen.append(repr(conf.backends) + repr(conf.webhook) + repr(run_checks()))
    seen += [caplog.text, str(unheard.value)]
    assert "ConnectionError" in caplog.text
    for text in seen:
        assert SECRET not in text
