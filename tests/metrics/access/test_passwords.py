"""Basic auth: which passwords open, and how often each one is hashed."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.hashers import make_password
from django.test import Client
from pytest_django import Settings

from metrics.access.rules import Access, Decision, configured
from tests.metrics.access.credentials import GRANTED, HASH, UNAUTHORIZED, basic, judge
from tests.support.harness import wait_until


@pytest.mark.parametrize(
    ("authorization", "decision"),
    [
        (basic("prometheus", "geheim"), GRANTED),
        (basic("prometheus", "geheim").replace("Basic", "basic"), GRANTED),
        (basic("prometheus", "Geheim"), UNAUTHORIZED),
        (basic("prometheus", ""), UNAUTHORIZED),
        (basic("nobody", "geheim"), UNAUTHORIZED),
        ("Basic " + base64.b64encode(b"prometheus").decode(), UNAUTHORIZED),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), UNAUTHORIZED),
        ("Basic %%%", UNAUTHORIZED),
        ("Basic", UNAUTHORIZED),
        ("Bearer geheim", UNAUTHORIZED),
    ],
)
def test_basic(authorization: str, decision: Decision) -> None:
    """A user with the right password may scrape; every other answer is the same."""
    assert judge({"BASIC": {"prometheus": HASH}}, authorization) is decision


def test_a_password_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right credentials pay for the slow hash only the first time, wrong ones each time."""
    calls: list[tuple[str, str]] = []

    def check(password: str, encoded: str) -> bool:
        calls.append((password, encoded))
        return hashers.check_password(password, encoded)

    monkeypatch.setattr("metrics.access.passwords.check_password", check)
    access = Access({"BASIC": {"prometheus": HASH}})
    for password, decision in [("geheim", GRANTED), ("wrong", UNAUTHORIZED)] * 3:
        assert access.judge("", "", basic("prometheus", password)) is decision
    assert [password for password, _ in calls] == ["geheim", "wrong", "wrong", "wrong"]


def test_an_unknown_user_costs_a_hash_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of an answer does not tell which users there are."""
    calls = []
    monkeypatch.setattr("metrics.access.passwords.check_password", lambda *args: calls.append(args))
    access = Access({"BASIC": {"prometheus": HASH}})
    for user in ("nobody", "nobody", "prometheus", "carol"):
        assert access.judge("", "", basic(user, "x")) is UNAUTHORIZED
    assert calls == [("x", HASH)] * 4


def test_a_known_password_is_slow_under_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """That somebody's password was found right shows in nobody else's answer or its time."""
    access = Access({"BASIC": {"prometheus": HASH}})
    assert access.judge("", "", basic("prometheus", "geheim")) is GRANTED
    calls: list[tuple[str, str]] = []

    def check(password: str, encoded: str) -> bool:
        calls.append((password, encoded))
        return hashers.check_password(password, encoded)

    monkeypatch.setattr("metrics.access.passwords.check_password", check)
    for _ in range(2):
        assert access.judge("", "", basic("eve", "geheim")) is UNAUTHORIZED
    assert calls == [("geheim", HASH)] * 2


def test_remembered_passwords_are_few() -> None:
    """A flood of wrong passwords does not fill the memory, nor drive out the right one."""
    access = Access({"BASIC": {"prometheus": make_password("a", hasher="md5")}})
    memory = access._passwords
    assert access.judge("", "", basic("prometheus", "a")) is GRANTED
    for number in range(memory.LIMIT + 10):
        memory.check("prometheus", str(number), "md5$x$y", remember=True)
    assert len(memory._right) == 1


def test_wrong_passwords_hold_few_threads(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many wrong passwords a few are checked and the rest turned away; who is known gets in."""
    settings.SENTINEL_METRICS_ACCESS = {"BASIC": {"prometheus": HASH}}
    right = basic("prometheus", "geheim")
    assert client.get("/metrics", headers={"Authorization": right}).status_code == 200
    held, done = threading.Semaphore(0), threading.Event()

    def check_slowly(*args: object) -> bool:
        held.release()
        assert done.wait(30)
        return False

    monkeypatch.setattr("metrics.access.passwords.check_password", check_slowly)

    def ask() -> tuple[int, str | None]:
        answer = Client().get("/metrics", headers={"Authorization": basic("prometheus", "no")})
        return answer.status_code, answer.headers.get("Retry-After")

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(ask) for _ in range(3)]
        assert held.acquire(timeout=30)
        access = configured()
        assert access is not None
        wait_until(lambda: access._passwords._places._value == 0, "three that are being checked")
        assert ask() == (503, "1")
        assert client.get("/metrics", headers={"Authorization": right}).status_code == 200
        done.set()
        assert [one.result(30) for one in waiting] == [(401, None)] * 3
