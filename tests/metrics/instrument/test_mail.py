"""What is measured of mail, sent to a server that is there."""

from __future__ import annotations

import inspect
import logging
import pickle
import smtplib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.core.mail import EmailMessage, get_connection, send_mail, send_mass_mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.locmem import EmailBackend as LocMemBackend
from django.test import override_settings

from metrics.instrument import mail as instrument
from metrics.instrument.bounds import FirstOnes
from tests.metrics.instrument.figures import Figures

CALLS, MESSAGES = "django_mail_send_duration_seconds_count", "django_mail_messages_total"
DJANGO = "django.core.mail.backends"
SMTP = f"{DJANGO}.smtp.EmailBackend"
connect = get_connection  # as code has it that was imported before us


class Before(BaseEmailBackend):
    """A backend that is there before it is measured, and calls nothing of Django's."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def send_messages(self, messages: Any) -> int:
        """Say that all were sent."""
        return len(list(messages))


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    """Measure from here on: it harms no other test, as what a caller gets is the same."""
    instrument.install()
    instrument.install()


@pytest.fixture(autouse=True)
def _no_backend_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with no class known."""
    monkeypatch.setattr(instrument, "_backend", FirstOnes(instrument.MOST_BACKENDS))


class WithoutBase:
    """A backend that derives from nothing."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def send_messages(self, messages: Any) -> None:
        """Say nothing of what was sent."""


class Late(Before):
    """A backend that is made later."""

    def send_messages(self, messages: Any) -> int:
        """Send by another class' method."""
        return super().send_messages(messages)


class Forwarding(BaseEmailBackend):
    """A backend that hands messages to others, one by one."""

    def send_messages(self, messages: Any) -> int:
        """Send by another backend."""
        return sum(connect(f"{DJANGO}.locmem.EmailBackend").send_messages([m]) for m in messages)


class Broken(BaseEmailBackend):
    """A backend that fails."""

    def send_messages(self, messages: Any) -> int:
        """Raise."""
        raise LookupError("broken")


class Coroutine(BaseEmailBackend):
    """A backend whose method is no function that Django could call."""

    async def send_messages(self, messages: Any) -> int:  # type: ignore[override]
        """Send in an event loop."""
        return 1


def message() -> EmailMessage:
    """Return a message."""
    return EmailMessage("subject", "body", "from@shop.example", ["to@shop.example"])


def path(cls: type) -> str:
    """Return the dotted path of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


@pytest.mark.parametrize(
    "backend", [f"{DJANGO}.{name}.EmailBackend" for name in ("locmem", "console", "filebased")]
)
def test_however_it_is_sent(backend: str, tmp_path: Path) -> None:
    """Each sending is one, with as many messages as the backend says."""
    calls, messages = Figures(CALLS), Figures(MESSAGES)
    with override_settings(EMAIL_BACKEND=backend, EMAIL_FILE_PATH=tmp_path):
        assert message().send() == 1
        assert send_mail("subject", "body", None, ["to@shop.example"]) == 1
        assert send_mass_mail([("subject", "body", None, ["to@shop.example"])] * 3) == 3
        assert connect().send_messages([message(), message()]) == 2
        with get_connection() as connection:
            assert connection.send_messages([message()]) == 1
    assert calls.new() == [{"backend": backend, "n": 5.0}]
    assert messages.new() == [{"backend": backend, "n": 8.0}]


@pytest.mark.parametrize(
    ("cls", "sent"), [(Before, 2), (Late, 2), (WithoutBase, None), (Forwarding, 2)]
)
def test_whatever_the_backend(cls: type, sent: int | None) -> None:
    """It is measured once, under its own name, though it does not call Django's classes."""
    calls, messages = Figures(CALLS), Figures(MESSAGES)
    assert connect(path(cls)).send_messages([message(), message()]) == sent
    assert calls.new() == [{"backend": path(cls), "n": 1.0}]
    assert messages.new() == ([] if sent is None else [{"backend": path(cls), "n": 2.0}])


def test_messages_that_can_be_read_once() -> None:
    """Come to the backend unread."""
    messages = Figures(MESSAGES)
    once: Any = (message() for _ in range(2))
    assert LocMemBackend().send_messages(once) == 2
    assert messages.new() == [{"backend": path(LocMemBackend), "n": 2.0}]


def test_what_a_backend_raises() -> None:
    """Counts by its class, and comes to the caller; the next sending counts again."""
    calls, messages = Figures(CALLS), Figures(MESSAGES)
    with pytest.raises(LookupError, match="broken"):
        connect(path(Broken)).send_messages([message()])
    connect(path(Before)).send_messages([message()])
    assert calls.new() == [
        {"backend": path(Before), "n": 1.0},
        {"backend": path(Broken), "error_type": "LookupError", "n": 1.0},
    ]
    assert messages.new() == [{"backend": path(Before), "n": 1.0}]


class Receiver:
    """Takes messages, but for some."""

    def __init__(self) -> None:
        self.received: list[Any] = []

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        """Take who is not nobody."""
        if address.startswith("nobody"):
            return "550 nobody is here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Take a message."""
        self.received.append(envelope)
        return "250 OK"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a mail server to which EMAIL_HOST leads."""
    receiver = Receiver()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(receiver, hostname="127.0.0.1", port=port)
    controller.start()
    with override_settings(EMAIL_BACKEND=SMTP, EMAIL_HOST="127.0.0.1", EMAIL_PORT=port):
        yield receiver
    controller.stop()


def test_a_mail_server(receiver: Receiver) -> None:
    """What it takes is sent; what it refuses is an error, unless nobody is to know."""
    calls, messages = Figures(CALLS), Figures(MESSAGES)
    assert message().send() == 1
    assert send_mass_mail([("subject", "body", None, ["to@shop.example"])] * 3) == 3
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send_mail("subject", "body", None, ["nobody@shop.example"])
    assert send_mail("subject", "body", None, ["nobody@shop.example"], fail_silently=True) == 0
    assert len(receiver.received) == 4
    assert calls.new() == [
        {"backend": SMTP, "n": 3.0},
        {"backend": SMTP, "error_type": "smtplib.SMTPRecipientsRefused", "n": 1.0},
    ]
    assert messages.new() == [{"backend": SMTP, "n": 4.0}]


def test_a_mail_server_that_is_not_there() -> None:
    """Is an error, which fail_silently keeps from the caller, and so from us."""
    calls, messages = Figures(CALLS), Figures(MESSAGES)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with override_settings(EMAIL_BACKEND=SMTP, EMAIL_HOST="127.0.0.1", EMAIL_PORT=port):
            with pytest.raises(ConnectionRefusedError):
                message().send()
            message().send(fail_silently=True)
    assert calls.new() == [
        {"backend": SMTP, "n": 1.0},
        {"backend": SMTP, "error_type": "ConnectionRefusedError", "n": 1.0},
    ]
    assert messages.new() == []


def test_threads(receiver: Receiver) -> None:
    """Each sends for itself, and none is lost."""
    calls, messages = Figures(CALLS), Figures(MESSAGES)
    threads = [
        threading.Thread(target=lambda: [message().send() for _ in range(5)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.received) == 20
    assert calls.new() == [{"backend": SMTP, "n": 20.0}]
    assert messages.new() == [{"backend": SMTP, "n": 20.0}]


def test_classes_without_number() -> None:
    """Have their names up to the hundredth."""
    calls = Figures(CALLS)
    for number in range(instrument.MOST_BACKENDS + 50):
        made = type(f"Made{number}", (Before,), {})
        made().send_messages([message()])
    found = {row["backend"] for row in calls.new()}
    assert "_OTHER" in found
    assert len(found) == instrument.MOST_BACKENDS + 1


def test_a_backend_is_what_it_was() -> None:
    """Its class, its method's signature and its state; a coroutine is left alone."""
    assert type(connect(path(Late))) is Late
    assert pickle.loads(pickle.dumps(Late(a=1))).options == {"a": 1}
    assert list(inspect.signature(Late.send_messages).parameters) == ["self", "messages"]
    assert inspect.iscoroutinefunction(Coroutine.send_messages)


class Fixed(type):
    """A kind of class that cannot be changed, as those of C code."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise TypeError(name)


class FixedBackend(metaclass=Fixed):
    """A backend whose class is of that kind."""

    def __init__(self, **options: Any) -> None:
        pass

    def send_messages(self, messages: Any) -> int:
        """Say that all were sent."""
        return len(list(messages))


def test_a_class_that_cannot_be_changed(caplog: pytest.LogCaptureFixture) -> None:
    """It is not measured, and works as it did."""
    connection = get_connection(f"{__name__}.FixedBackend")
    assert connection.send_messages([EmailMessage()]) == 1
    assert [record.message for record in caplog.records] == [f"{FixedBackend} is not measured"]


def test_a_fault_of_ours_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the message is sent."""
    monkeypatch.setattr(instrument, "DURATION", None)
    with caplog.at_level(logging.ERROR):
        assert Before().send_messages([message()]) == 1
    assert "is not measured" in caplog.text
