"""Who may scrape, and what those who may not are told."""

from __future__ import annotations

import base64
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from pytest_django import Settings

from metrics.access.rules import Access, Verdict, configured
from metrics.access.validation import problems
from tests.support.harness import wait_until

HASH = make_password("geheim", salt="salt", hasher="pbkdf2_sha256")
S = "SENTINEL_METRICS_ACCESS"
GRANTED, UNAUTHORIZED, FORBIDDEN = Verdict.GRANTED, Verdict.UNAUTHORIZED, Verdict.FORBIDDEN


def basic(user: str, password: str) -> str:
    """Return the Authorization header of basic auth."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def judge(setting: dict[str, Any], authorization: str = "", peer: str = "10.0.0.1") -> Verdict:
    """Ask about one request from ``peer``."""
    return Access(setting).judge(peer, "", authorization)


@pytest.mark.parametrize(
    ("authorization", "verdict"),
    [
        ("Bearer new", GRANTED),
        ("bearer old", GRANTED),
        ("BEARER  new ", GRANTED),
        ("Bearer ne", UNAUTHORIZED),
        ("Bearer newer", UNAUTHORIZED),
        ("Bearer", UNAUTHORIZED),
        ("Bearer ", UNAUTHORIZED),
        ("new", UNAUTHORIZED),
        ("Token new", UNAUTHORIZED),
        (basic("new", "new"), UNAUTHORIZED),
        ("Bearer \xff\ud800", UNAUTHORIZED),
        ("", UNAUTHORIZED),
    ],
)
def test_bearer(authorization: str, verdict: Verdict) -> None:
    """Any of several tokens opens, so that one can replace another; nothing else does."""
    assert judge({"BEARER": ["old", "new"]}, authorization) is verdict


@pytest.mark.parametrize(
    ("authorization", "verdict"),
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
def test_basic(authorization: str, verdict: Verdict) -> None:
    """A user with the right password may scrape; every other answer is the same."""
    assert judge({"BASIC": {"prometheus": HASH}}, authorization) is verdict


def test_a_password_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right credentials pay for the slow hash only the first time, wrong ones each time."""
    calls = []
    monkeypatch.setattr(
        "metrics.access.passwords.check_password",
        lambda *args: calls.append(args) or hashers.check_password(*args),
    )
    access = Access({"BASIC": {"prometheus": HASH}})
    for password, verdict in [("geheim", GRANTED), ("wrong", UNAUTHORIZED)] * 3:
        assert access.judge("", "", basic("prometheus", password)) is verdict
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
    calls = []
    monkeypatch.setattr(
        "metrics.access.passwords.check_password",
        lambda *args: calls.append(args) or hashers.check_password(*args),
    )
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


@pytest.fixture(autouse=True)
def _quick_hasher(settings: Settings) -> None:
    """Let both the real hasher and a quick one be known."""
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]


def test_token_file_is_read_again(tmp_path: Path) -> None:
    """A file with new tokens counts from the next request on, and so does its absence."""
    path = tmp_path / "token"
    path.write_text("first\n")
    access = Access({"BEARER_FILES": [str(path)]})
    assert access.judge("", "", "Bearer first") is GRANTED
    beside = tmp_path / "beside"
    beside.write_text("second\n\nthird\n")
    os.replace(beside, path)
    assert access.judge("", "", "Bearer first") is UNAUTHORIZED
    assert access.judge("", "", "Bearer second") is GRANTED
    assert access.judge("", "", "Bearer third") is GRANTED
    assert access.judge("", "", "Bearer ") is UNAUTHORIZED
    path.unlink()
    assert access.judge("", "", "Bearer second") is UNAUTHORIZED
    path.write_text("second")
    assert access.judge("", "", "Bearer second") is GRANTED


def test_token_file_that_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that cannot be read opens nothing, and the log says so once."""
    access = Access({"BEARER_FILES": [str(tmp_path / "none")]})
    for _ in range(3):
        assert access.judge("", "", "Bearer x") is UNAUTHORIZED
    assert caplog.text.count("cannot be read") == 1


@pytest.mark.parametrize(
    "content",
    [
        b"secret",
        b"secret\n",
        b"\xef\xbb\xbfsecret\n",
        b"\xef\xbb\xbfsecret\r\nother\r\n",
        b"\xef\xbb\xbf\r\n \t secret \t \r\n\r\n",
        b"other\rsecret\r",
        b"\xc2\xa0secret\xe2\x80\xa8\n",
    ],
)
def test_token_file_as_editors_write_it(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A byte order mark, ends of lines of any system and space around a token do not count."""
    path = tmp_path / "token"
    path.write_bytes(content)
    access = Access({"BEARER_FILES": [str(path)]})
    assert access.judge("", "", "Bearer secret") is GRANTED
    for wrong in (
        "Bearer",
        "Bearer ",
        "Bearer \r",
        "Bearer \ufeff",
        "Bearer \xef\xbb\xbfsecret",
        "",
    ):
        assert access.judge("", "", wrong) is UNAUTHORIZED
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", ["The token file PATH has no token in it and opens nothing"]),
        (b"\xef\xbb\xbf\r\n  \n", ["The token file PATH has no token in it and opens nothing"]),
        (
            b"\xff\xfes\0e\0c\0r\0e\0t\0",
            ["The token file PATH cannot be read and opens nothing: it is not UTF-8"],
        ),
        (
            "geh\N{LATIN SMALL LETTER E WITH DIAERESIS}im\nse\0cret\n".encode(),
            [
                "Line 1 of the token file PATH is no token (printable ASCII) and opens nothing",
                "Line 2 of the token file PATH is no token (printable ASCII) and opens nothing",
                "The token file PATH has no token in it and opens nothing",
            ],
        ),
    ],
    ids=["empty", "blank", "UTF-16", "odd"],
)
def test_token_file_without_a_token(
    tmp_path: Path, content: bytes, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Such a file opens nothing to nobody, and the log says why, once, and no secret."""
    path = tmp_path / "token"
    path.write_bytes(content)
    access = Access({"BEARER_FILES": [str(path)]})
    for header in ("", "Bearer", "Bearer ", "Bearer \0", "Bearer secret", "Bearer \ufeff") * 2:
        assert access.judge("", "", header) is UNAUTHORIZED
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [text.replace("PATH", str(path)) for text in said]


def test_token_file_that_is_no_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A directory or a pipe opens nothing, and nobody waits for what a pipe may give."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        access = Access({"BEARER_FILES": [str(path)]})
        assert access.judge("", "", "Bearer x") is UNAUTHORIZED
    assert caplog.text.count("it is no regular file") == 2


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "verdict"),
    [
        ("10.1.2.3", "", GRANTED),
        ("11.1.2.3", "", FORBIDDEN),
        ("::ffff:10.1.2.3", "", GRANTED),
        ("fd00::7", "", GRANTED),
        ("fd01::7", "", FORBIDDEN),
        ("", "", FORBIDDEN),
        ("nonsense", "", FORBIDDEN),
        # A header from somebody who is no trusted proxy counts for nothing.
        ("11.1.2.3", "10.1.2.3", FORBIDDEN),
        ("10.1.2.3", "11.1.2.3", GRANTED),
        # Behind a trusted proxy the last hop that is none counts.
        ("192.168.0.1", "10.1.2.3", GRANTED),
        ("192.168.0.1", "10.1.2.3, 192.168.0.2", GRANTED),
        ("192.168.0.1", "10.1.2.3, 11.0.0.1", FORBIDDEN),
        ("192.168.0.1", "10.1.2.3:4711", GRANTED),
        ("192.168.0.1", '"[fd00::7]:4711"', GRANTED),
        ("192.168.0.1", "nonsense", FORBIDDEN),
        ("192.168.0.1", "10.1.2.3, nonsense", FORBIDDEN),
        ("192.168.0.1", "", FORBIDDEN),
    ],
)
def test_networks(peer: str, forwarded_for: str, verdict: Verdict) -> None:
    """The peer's address decides, or what proxies that are named in the setting forward."""
    access = Access(
        {"NETWORKS": ["10.0.0.0/8", "fd00::/16"], "TRUSTED_PROXIES": ["192.168.0.0/24"]}
    )
    assert access.judge(peer, forwarded_for, "") is verdict


@pytest.mark.parametrize(
    ("network", "peer", "verdict"),
    [
        ("::ffff:10.0.0.0/104", "10.1.2.3", GRANTED),
        ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", GRANTED),
        ("::ffff:10.0.0.0/104", "11.0.0.1", FORBIDDEN),
        ("::ffff:10.1.2.3", "10.1.2.3", GRANTED),
        ("10.1.2.3", "::ffff:a01:203", GRANTED),
        ("::/0", "10.1.2.3", FORBIDDEN),
        ("0.0.0.0/0", "fd00::1", FORBIDDEN),
        ("fe80::/10", "fe80::1%eth0", GRANTED),
        ("::1", "0:0:0:0:0:0:0:1", GRANTED),
    ],
)
def test_ways_to_write_an_address(network: str, peer: str, verdict: Verdict) -> None:
    """IPv4 is IPv4, however it is dressed, in the setting and on the wire."""
    assert judge({"NETWORKS": [network]}, peer=peer) is verdict


def test_proxy_at_a_unix_socket() -> None:
    """A peer without an address is trusted to forward only if the setting says so."""
    setting = {"NETWORKS": ["10.0.0.0/8"]}
    assert Access(setting).judge("", "10.1.2.3", "") is FORBIDDEN
    trusting = Access({**setting, "TRUSTED_PROXIES": ["unix"]})
    assert trusting.judge("", "10.1.2.3", "") is GRANTED


def test_network_and_token_are_both_needed() -> None:
    """Where both are set, one of them is not enough."""
    setting = {"NETWORKS": ["10.0.0.0/8"], "BEARER": ["t"]}
    assert judge(setting, "Bearer t") is GRANTED
    assert judge(setting, "") is UNAUTHORIZED
    assert judge(setting, "Bearer t", peer="11.0.0.1") is FORBIDDEN


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("token", [f"{S} must be None or a dictionary"]),
        ({}, [f"{S} lets everybody in: it names no token, user or network"]),
        (
            {"TOKENS": ["a"], "BEARER": ["a"]},
            [
                (
                    f"{S}['TOKENS'] is unknown; there are BEARER, BEARER_FILES, BASIC, NETWORKS,"
                    " TRUSTED_PROXIES"
                )
            ],
        ),
        ({"BEARER": "token"}, [f"{S}['BEARER'] must be a list"]),
        ({"BEARER": ["a", " "]}, [f"{S}['BEARER'][1] must be a string that is not empty"]),
        (
            {"BEARER": ["secret\n"]},
            [f"{S}['BEARER'][0] must be printable ASCII without spaces around it"],
        ),
        ({"BEARER_FILES": ["token"]}, [f"{S}['BEARER_FILES'][0] must be an absolute path"]),
        (
            {"BASIC": ["a"]},
            [f"{S}['BASIC'] must be a dictionary of users and hashed passwords"],
        ),
        (
            {"BASIC": {"me": "plain password"}},
            [
                (
                    f"{S}['BASIC']['me'] must be a hashed password; make one with"
                    " django.contrib.auth.hashers.make_password"
                )
            ],
        ),
        (
            {"BASIC": {"a:b": HASH}},
            [f"{S}['BASIC']: a user's name must be a string without a colon"],
        ),
        (
            {"NETWORKS": ["10.0.0.1/8"]},
            [
                (
                    f"{S}['NETWORKS'][0] must be an address or a network such as 10.0.0.0/8,"
                    " not '10.0.0.1/8'"
                )
            ],
        ),
        (
            {"BEARER": ["a"], "TRUSTED_PROXIES": ["proxy"]},
            [
                (
                    f"{S}['TRUSTED_PROXIES'][0] must be an address or a network such as 10.0.0.0/8,"
                    " not 'proxy'"
                )
            ],
        ),
    ],
)
def test_wrong_settings(setting: Any, expected: list[str]) -> None:
    """Each mistake is named with the path of its key, and no secret is repeated."""
    assert problems(setting) == expected
    if isinstance(setting, dict):
        with pytest.raises(ImproperlyConfigured):
            Access(setting)


def test_answer_without_credentials(client: Client, settings: Settings) -> None:
    """401 names the schemes and nothing else; with credentials the scrape varies by them."""
    settings.SENTINEL_METRICS_ACCESS = {"BEARER": ["t"], "BASIC": {"prometheus": HASH}}
    response = client.get("/metrics")
    assert (response.status_code, response.content) == (401, b"Unauthorized")
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["WWW-Authenticate"] == (
        'Bearer realm="metrics", Basic realm="metrics", charset="UTF-8"'
    )
    response = client.get("/metrics", headers={"authorization": "Bearer t"})
    assert response.status_code == 200
    assert response["Vary"] == "Accept, Accept-Encoding, Authorization"
    response = client.get("/metrics", headers={"authorization": basic("prometheus", "geheim")})
    assert response.status_code == 200


def test_answer_from_another_network(client: Client, settings: Settings) -> None:
    """403 says no more than that."""
    settings.SENTINEL_METRICS_ACCESS = {"NETWORKS": ["10.0.0.0/8"]}
    response = client.get("/metrics", REMOTE_ADDR="11.0.0.1")
    assert (response.status_code, response.content) == (403, b"Forbidden")
    assert "WWW-Authenticate" not in response
    assert client.get("/metrics", REMOTE_ADDR="10.0.0.1").status_code == 200


def test_a_broken_setting_lets_nobody_in(client: Client, settings: Settings) -> None:
    """With a setting that cannot be used nobody may scrape, and the answer keeps the reason."""
    settings.SENTINEL_METRICS_ACCESS = {"NETWORKS": ["everywhere"]}
    response = client.get("/metrics")
    assert (response.status_code, response.content) == (500, b"The scrape failed")
