"""What follows a change: stored rows, the signal, the webhook, metrics and the admin."""

from __future__ import annotations

import datetime
import json
import logging
import socket
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone

from health.board import BOARD
from health.board.health_map import BackendHealthMap
from health.conf.webhook import WebhookConfig
from health.core.document import MAX_EVENTS
from health.core.record import replace
from health.models import Transition
from health.prober.history import Recorder
from health.prober.webhook import Webhook, WebhookError
from health.readiness import drain
from health.signals import backend_health_changed
from metrics.registry import REGISTRY
from tests.support import misbehaving


@pytest.fixture
def board() -> BackendHealthMap:
    """Give each test a board of its own."""
    return BackendHealthMap()


@pytest.mark.django_db
def test_each_transition_is_stored_once(board: BackendHealthMap) -> None:
    """Changes become rows, with what was before and why; checks that confirm do not."""
    for healthy in (True, True, False, True):
        board.report("db", healthy, error=None if healthy else "refused")
    recorder = Recorder(board)
    recorder.store()
    recorder.store()
    rows = Transition.objects.order_by("id").values_list("backend", "was", "healthy", "error")
    assert list(rows) == [
        ("db", None, True, ""),
        ("db", True, False, "refused"),
        ("db", False, True, ""),
    ]


@pytest.mark.django_db
def test_what_could_not_be_stored_is_stored_later(
    board: BackendHealthMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is down loses no transition, and a new prober goes on where it stopped."""
    board.report("db", False)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("the database is down")

    with monkeypatch.context() as patched:
        patched.setattr(Transition.objects, "bulk_create", fail)
        with pytest.raises(OSError, match="is down"):
            Recorder(board).store()
    assert Transition.objects.count() == 0
    board.report("db", True)
    Recorder(board).store()
    assert list(Transition.objects.order_by("id").values_list("healthy", flat=True)) == [
        False,
        True,
    ]


@pytest.mark.django_db
def test_transitions_beyond_number_are_forgotten_and_that_is_said(
    board: BackendHealthMap, caplog: pytest.LogCaptureFixture
) -> None:
    """The board keeps what is not stored yet, up to a number; once stored it keeps none."""
    recorder = Recorder(board)
    board.report("db", True)
    recorder.store()
    for turn in range(MAX_EVENTS + 3):
        board.report("db", turn % 2 == 1)
    recorder.store()
    assert Transition.objects.count() == MAX_EVENTS + 1
    assert "transitions: 3 were forgotten before they could be stored" in caplog.messages
    assert board.document().events == ()
    recorder.store()
    assert len(caplog.messages) == 1


@pytest.mark.django_db
def test_old_transitions_are_deleted(board: BackendHealthMap) -> None:
    """After SENTINEL_TRANSITION_DAYS a row goes."""
    for days in (1, 40):
        at = timezone.now() - datetime.timedelta(days=days)
        Transition.objects.create(backend=f"{days}", healthy=True, at=at)
    Recorder(board).store()
    assert [row.backend for row in Transition.objects.all()] == ["1"]


@pytest.mark.django_db
@override_settings(SENTINEL_TRANSITION_DAYS=0)
def test_nothing_is_stored_for_no_days(board: BackendHealthMap) -> None:
    """0 days store nothing, and the board does not keep what nobody wants."""
    board.report("db", True)
    Recorder(board).store()
    assert Transition.objects.count() == 0
    assert board.document().recorded == 1


def test_a_change_is_signalled_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Receivers, the log and the metrics learn of a change; a broken receiver stops nothing."""
    seen: list[tuple[str, bool | None, bool]] = []

    def receive(backend: str, was: bool | None, healthy: bool, **_: Any) -> None:
        seen.append((backend, was, healthy))

    def broken(**_: Any) -> None:
        raise ZeroDivisionError

    backend_health_changed.connect(broken)
    backend_health_changed.connect(receive)
    caplog.set_level(logging.INFO, "health")
    try:
        for healthy in (True, True, False):
            BOARD.report("signalled", healthy, error=None if healthy else "refused")
    finally:
        backend_health_changed.disconnect(broken)
        backend_health_changed.disconnect(receive)
        BOARD.clear()
    assert seen == [("signalled", None, True), ("signalled", True, False)]
    assert "backend signalled is healthy (was unknown)" in caplog.messages
    assert "backend signalled is unhealthy (was healthy): refused" in caplog.messages

    def value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"backend": "signalled", **labels})

    assert value("sentinel_backend_healthy") == 0.0
    assert value("sentinel_backend_transitions_total", to="healthy") == 1.0
    assert value("sentinel_backend_transitions_total", to="unhealthy") == 1.0


class Receiver:
    """Takes messages of a webhook, and answers as it is told."""

    def __init__(self) -> None:
        self.status = "204 No Content"
        self.requests: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        """Read one request with its body, and answer it."""
        content = b""
        while b"\r\n\r\n" not in content or not content.partition(b"\r\n\r\n")[2]:
            content += connection.recv(65536)
        self.requests.append(content)
        connection.sendall(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The bodies that came."""
        return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in self.requests]


def test_the_webhook_tells_of_a_failure_and_of_the_recovery(board: BackendHealthMap) -> None:
    """A first healthy state is no news; falling ill is, and so is recovering, once each."""
    receiver = Receiver()
    with (
        misbehaving.server(receiver) as port,
        override_settings(
            SENTINEL_WEBHOOK={
                "URL": f"http://127.0.0.1:{port}/hook",
                "HEADERS": {"X-Key": "k3y"},
                "MIN_SECONDS": 0,
            }
        ),
    ):
        recorder = Recorder(board)
        for healthy in (True, False, False, True, True):
            board.report("db", healthy, error=None if healthy else "refused")
            recorder.tell()
            recorder.tell()
    assert [(m["backend"], m["status"], m["error"]) for m in receiver.messages] == [
        ("db", "unhealthy", "refused"),
        ("db", "healthy", None),
    ]
    assert receiver.requests[0].startswith(b"POST /hook HTTP/1.1\r\n")
    assert b"\r\nX-Key: k3y\r\n" in receiver.requests[0]


def test_the_webhook_keeps_its_distance(board: BackendHealthMap) -> None:
    """Within the minimum time a flapping backend is told once, and later where it ended."""
    receiver = Receiver()
    with misbehaving.server(receiver) as port:
        webhook = Webhook()
        often = WebhookConfig(f"http://127.0.0.1:{port}/", min_seconds=3600)
        board.report("db", False)
        assert webhook.tell(board.snapshot().values(), often) == {"db": False}
        board.report("db", True)
        told = [replace(b, told=False) for b in board.snapshot().values()]
        assert webhook.tell(told, often) == {}
        later = WebhookConfig(often.url, min_seconds=0)
        assert webhook.tell(told, later) == {"db": True}
    assert [m["status"] for m in receiver.messages] == ["unhealthy", "healthy"]


def test_a_message_that_did_not_arrive_is_sent_again(board: BackendHealthMap) -> None:
    """A receiver that refuses is an error, and the same message comes with the next try."""
    receiver = Receiver()
    receiver.status = "500 Internal Server Error"
    board.report("db", False)
    with misbehaving.server(receiver) as port:
        config = WebhookConfig(f"http://127.0.0.1:{port}/", min_seconds=3600)
        webhook = Webhook()
        with pytest.raises(WebhookError, match="status 500"):
            webhook.tell(board.snapshot().values(), config)
        receiver.status = "200 OK"
        assert webhook.tell(board.snapshot().values(), config) == {"db": False}
    assert len(receiver.requests) == 2


def test_the_webhooks_secrets_are_not_shown(board: BackendHealthMap) -> None:
    """Neither the URL nor a header is in the repr, nor in what is said of a failure."""
    config = WebhookConfig("http://no-such-host.invalid/s3cr3t", {"X": "s3cr3t"})
    assert "s3cr3t" not in repr(config)
    board.report("db", False)
    with pytest.raises(WebhookError, match=r"no-such-host\.invalid") as raised:
        Webhook().tell(board.snapshot().values(), config)
    assert "s3cr3t" not in str(raised.value)


@pytest.fixture
def staff(client: Client, db: None) -> tuple[Client, User]:
    """Log a member of the staff in who may do nothing yet."""
    user = User.objects.create_user("staff", password="x", is_staff=True)
    client.force_login(user)
    return client, user


def _allow(user: User, *codenames: str) -> None:
    user.user_permissions.add(
        *Permission.objects.filter(
            content_type__app_label="sentinel_health", codename__in=codenames
        )
    )


BACKENDS = "/admin/sentinel_health/backend/"
TRANSITIONS = "/admin/sentinel_health/transition/"


def test_the_admin_shows_backends_to_those_who_may_see_them(staff: tuple[Client, User]) -> None:
    """The page needs a permission, and the errors on it another one."""
    client, user = staff
    drain.unmark()
    BOARD.clear()
    BOARD.report("tools", True, latency=0.0123)
    BOARD.report("<db>", False, error="refused by 10.9.8.7")
    try:
        assert client.get(BACKENDS).status_code == 403
        _allow(user, "view_backend")
        page = client.get(BACKENDS)
        assert page.status_code == 200
        text = page.content.decode()
        assert "&lt;db&gt;" in text
        assert "12.3 ms" in text
        assert "10.9.8.7" not in text
        _allow(user, "view_errors")
        assert "refused by 10.9.8.7" in client.get(BACKENDS).content.decode()
    finally:
        BOARD.clear()


def test_the_admin_shows_transitions_and_changes_none(staff: tuple[Client, User]) -> None:
    """History is there to be read: there is no way to add, change or delete."""
    client, user = staff
    row = Transition.objects.create(
        backend="db", was=True, healthy=False, at=timezone.now(), error="refused by 10.9.8.7"
    )
    assert client.get(TRANSITIONS).status_code == 403
    _allow(user, "view_transition")
    text = client.get(TRANSITIONS).content.decode()
    assert "db" in text
    assert "10.9.8.7" not in text
    assert client.get(f"{TRANSITIONS}{row.pk}/change/").status_code == 200
    assert "10.9.8.7" not in client.get(f"{TRANSITIONS}{row.pk}/change/").content.decode()
    for path in (f"{TRANSITIONS}add/", f"{TRANSITIONS}{row.pk}/delete/"):
        assert client.post(path, {"post": "yes"}).status_code == 403
    _allow(user, "view_errors")
    assert "10.9.8.7" in client.get(TRANSITIONS).content.decode()


@pytest.mark.django_db
def test_the_migrations_are_complete() -> None:
    """The models are what the migrations make."""
    from django.core.management import call_command

    call_command("makemigrations", "sentinel_health", check=True, dry_run=True, verbosity=0)
    assert "sentinel_health_transition" in connection.introspection.table_names()
