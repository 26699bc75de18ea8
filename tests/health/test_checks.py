"""System checks: what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.test import modify_settings, override_settings

PROBE = {"PROBE": "health.probes.DatabaseProbe"}
BAD = "SENTINEL_BACKENDS['db']"


async def async_policy(backends: Any) -> bool:
    """Say no, to whoever awaits it."""
    return False


def found(**settings: Any) -> list[tuple[str, str]]:
    """Return id and message of each of our findings under these settings."""
    with override_settings(**settings):
        return [
            (str(m.id).removeprefix("sentinel_health."), m.msg)
            for m in run_checks()
            if str(m.id).startswith("sentinel_health.")
        ]


def test_the_sample_project_is_in_order() -> None:
    """Its own settings raise no finding."""
    assert found() == []


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        (
            {**PROBE, "TIMEOUT": 10},
            ("E001", f"{BAD}['TIMEOUT'] (10 s) must be below INTERVAL (10 s)"),
        ),
        (
            {**PROBE, "TIMEOUT": 0},
            ("E001", f"{BAD}['TIMEOUT'] must be a number of seconds above 0, not 0"),
        ),
        ({**PROBE, "RISE": 0}, ("E001", f"{BAD}['RISE'] must be a whole number, 1 or more, not 0")),
        (
            {**PROBE, "FALL": True},
            ("E001", f"{BAD}['FALL'] must be a whole number, 1 or more, not True"),
        ),
        (
            {**PROBE, "SCOPE": "x"},
            ("E001", f"{BAD}['SCOPE'] must be one of local, shared, not 'x'"),
        ),
        ({**PROBE, "TAGS": "x"}, ("E001", f"{BAD}['TAGS'] must be a list of words, not 'x'")),
        ({}, ("E001", f"{BAD}['PROBE'] must be a dotted path or a callable, not None")),
        (
            {**PROBE, "INTERVALL": 1},
            (
                "E001",
                (
                    f"{BAD}['INTERVALL'] is no option; there are PROBE, OPTIONS, INTERVAL, TIMEOUT,"
                    " RISE, FALL, TAGS, SCOPE, INTERVAL_IN_DOUBT"
                ),
            ),
        ),
        (
            {"PROBE": "health.probes.NoProbe"},
            (
                "E002",
                (
                    f"{BAD}['PROBE'] cannot be imported: Module \"health.probes\" does not define a"
                    ' "NoProbe" attribute/class'
                ),
            ),
        ),
        (
            {**PROBE, "OPTIONS": {"aliass": "x"}},
            (
                "E002",
                (
                    f"{BAD}['OPTIONS']['aliass'] is no option of DatabaseProbe;"
                    " there are alias, persistent"
                ),
            ),
        ),
        (
            {**PROBE, "OPTIONS": {"alias": "x"}},
            ("E002", f"{BAD}['OPTIONS']: DATABASES has no 'x'; it has default"),
        ),
        (
            {"PROBE": "health.probes.CacheProbe", "OPTIONS": {"alias": "x"}},
            ("E002", f"{BAD}['OPTIONS']: CACHES has no 'x'; it has default"),
        ),
        (
            {"PROBE": "."},
            ("E001", f"{BAD}['PROBE'] must be a dotted path or a callable, not '.'"),
        ),
        (
            {**PROBE, "INTERVAL": 10**9},
            ("E001", f"{BAD}['INTERVAL'] must be a number of seconds above 0, not 1000000000"),
        ),
        (
            {"PROBE": "tests.support.module_that_raises.check"},
            ("E002", f"{BAD}['PROBE'] cannot be imported: ZeroDivisionError: division by zero"),
        ),
        (
            {"PROBE": "health.probes.Probe"},
            ("E002", f"{BAD}['PROBE'] names health.probes.Probe, which is no probe"),
        ),
        (
            {"PROBE": "collections.OrderedDict"},
            (
                "E002",
                (
                    f"{BAD}['PROBE'] is the class OrderedDict, which is neither derived from"
                    " health.probes.Probe nor a check of django-health-check 4"
                ),
            ),
        ),
        (
            {"PROBE": lambda host: None, "OPTIONS": {"hots": 1}},
            (
                "E002",
                f"{BAD}['OPTIONS'] does not fit the callable: missing a required argument: 'host'",
            ),
        ),
    ],
)
def test_a_wrong_backend(backend: dict[str, Any], expected: tuple[str, str]) -> None:
    """The message has the path of the key and what may stand there."""
    assert found(SENTINEL_BACKENDS={"db": backend}) == [expected]


URL = {"url": "http://h/"}


@pytest.mark.parametrize(
    ("probe", "options", "expected"),
    [
        ("HTTPProbe", {}, "['url'] is needed by HTTPProbe"),
        ("HTTPProbe", {"url": 5}, "['url'] must be text"),
        ("HTTPProbe", {"url": "ftp://h/"}, ": url must begin with http:// or https:// and name"),
        ("HTTPProbe", {**URL, "method": "GET /x"}, ": method must be a word, as GET is"),
        (
            "HTTPProbe",
            {**URL, "statuses": "200"},
            "['statuses'] must be a list in which each is a whole number",
        ),
        ("HTTPProbe", {**URL, "statuses": [20]}, ": statuses must be from 100 to 599"),
        ("HTTPProbe", {**URL, "body": 5}, "['body'] must be text or None"),
        ("HTTPProbe", {**URL, "body": "("}, ": body is no regular expression: missing ), unterm"),
        ("HTTPProbe", {**URL, "headers": ["x"]}, "['headers'] must be a dictionary of text to te"),
        ("HTTPProbe", {**URL, "auth": "up"}, "['auth'] must be a list in which each is text or N"),
        ("HTTPProbe", {**URL, "verify": "no"}, "['verify'] must be True or False"),
        ("HTTPProbe", {**URL, "ca_file": 5}, "['ca_file'] must be text or a path or None"),
        ("HTTPProbe", {**URL, "client_key": "k"}, ": client_key needs client_cert"),
        ("HTTPProbe", {**URL, "max_bytes": 0}, ": max_bytes must be 1 or more"),
        ("TCPProbe", {"host": "h"}, "['port'] is needed by TCPProbe"),
        ("TCPProbe", {"host": "h", "port": "80"}, "['port'] must be a whole number"),
        ("TCPProbe", {"host": "h", "port": 0}, ": port must be from 1 to 65535"),
        ("TCPProbe", {"host": "", "port": 1}, ": host must not be empty"),
        ("DatabaseProbe", {"persistent": 1}, "['persistent'] must be True or False"),
        ("RedisProbe", {"url": "h:6379"}, ": url must begin with redis://, rediss:// or unix://"),
        ("DiskProbe", {"min_free_percent": 101}, ": min_free_percent must be from 0 to 100"),
        ("MemoryProbe", {"min_free_mib": -1}, ": min_free_mib must be 0 or more"),
        ("MCPProbe", {"url": "h"}, ": url must begin with http:// or https://"),
        ("MCPProbe", {"command": "server"}, "['command'] must be a list or None"),
        ("CeleryProbe", {"app": "app"}, ": app must be a dotted path"),
    ],
)
def test_a_wrong_option(probe: str, options: dict[str, Any], expected: str) -> None:
    """Before anything is probed, each option is looked at by its type and its range."""
    backends = {"db": {"PROBE": f"health.probes.{probe}", "OPTIONS": options}}
    ((check_id, message),) = found(SENTINEL_BACKENDS=backends)
    assert check_id == "E002"
    assert message.startswith(f"{BAD}['OPTIONS']{expected}")


def test_a_refused_option_shows_no_secret() -> None:
    """What a probe says of an option it refuses has the secret ones redacted."""
    options = {"url": "http://h:99999/?key=s3cr3t"}
    ((_, message),) = found(
        SENTINEL_BACKENDS={"db": {"PROBE": "health.probes.HTTPProbe", "OPTIONS": options}}
    )
    assert "s3cr3t" not in message


def test_options_that_are_right() -> None:
    """Paths, tuples and whole numbers for others are as good as text, lists and numbers."""
    options = {**URL, "ca_file": Path("/ca.pem"), "statuses": range(200, 203), "auth": ("u", "p")}
    disk = {"path": Path("/"), "min_free_mib": 1}
    backends = {
        "http": {"PROBE": "health.probes.HTTPProbe", "OPTIONS": options},
        "disk": {"PROBE": "health.probes.DiskProbe", "OPTIONS": disk},
        "dns": {"PROBE": "health_check.checks.DNS"},
        "callable": {"PROBE": "os.getloadavg"},
    }
    assert found(SENTINEL_BACKENDS=backends) == []


@pytest.mark.parametrize("name", ["", "  ", 5])
def test_a_backend_without_a_name(name: Any) -> None:
    """A backend needs a name."""
    assert found(SENTINEL_BACKENDS={name: PROBE}) == [
        ("E001", f"SENTINEL_BACKENDS has a backend without a name: {name!r}")
    ]


@pytest.mark.parametrize(
    ("settings", "ids"),
    [
        ({"SENTINEL_BACKENDS": []}, ["E001"]),
        ({"SENTINEL_READINESS": "most"}, ["E003"]),
        ({"SENTINEL_READINESS": "no.such.policy"}, ["E003"]),
        ({"SENTINEL_READINESS": ".."}, ["E003"]),
        ({"SENTINEL_READINESS": f"{__name__}.async_policy"}, ["E003"]),
        ({"SENTINEL_READINESS": "tests.support.module_that_raises.policy"}, ["E003"]),
        ({"SENTINEL_HEALTH_STORE": "cache:x"}, ["E004"]),
        ({"SENTINEL_HEALTH_STORE": "redis"}, ["E004"]),
        ({"SENTINEL_DRAIN_SECONDS": -1}, ["E005"]),
        ({"SENTINEL_SHARED_FAILURE": "maybe"}, ["E006"]),
        ({"SENTINEL_TRANSITION_DAYS": "x"}, ["E007"]),
        ({"SENTINEL_HEALTH_URLCONF": "nope.urls"}, ["E021"]),
        ({"SENTINEL_HEALTH_URLCONF": "health.views"}, ["E021"]),
        ({"SENTINEL_HEALTH_URLCONF": "tests.support.module_that_raises"}, ["E021"]),
        ({"SENTINEL_HEALTH_URLCONF": "health.server.urls"}, []),
        ({"SENTINEL_WEBHOOK": {"URL": "ftp://x"}}, ["E008"]),
        ({"SENTINEL_WEBHOOK": {"URL": "http://x", "MIN": 1}}, ["E008"]),
        ({"SENTINEL_WEBHOOK": {"URL": "http://"}}, ["E008"]),
        ({"SENTINEL_WEBHOOK": {"URL": "http://h:99999/"}}, ["E008"]),
        ({"SENTINEL_WEBHOOK": {"URL": "http://u:p@h/"}}, ["E008"]),
        ({"SENTINEL_WEBHOOK": {"URL": "http://h/", "HEADERS": ["x"]}}, ["E008"]),
        ({"SENTINEL_WEBHOOK": {"URL": "http://h/", "HEADERS": {"X": "a\nb"}}}, ["E008"]),
        ({"SENTINEL_WEBHOOK": {"URL": "http://h/", "HEADERS": {"X": "a"}}}, []),
        ({"SENTINEL_WEBHOOK": {"URL": "http://h/", "MIN_SECONDS": 10**400}}, ["E008"]),
        ({"SENTINEL_TRANSITION_DAYS": 10**400}, ["E007"]),
        ({"SENTINEL_HEALTH_DETAILS": {}}, ["E009"]),
        ({"SENTINEL_READINESS": "critical", "SENTINEL_BACKENDS": {"db": PROBE}}, ["W001"]),
        (
            {
                "SENTINEL_READINESS": "critical",
                "SENTINEL_BACKENDS": {"db": {**PROBE, "TAGS": ["critical"]}},
            },
            [],
        ),
    ],
)
def test_a_wrong_setting(settings: dict[str, Any], ids: list[str]) -> None:
    """Each setting has a check of its own."""
    assert [check_id for check_id, _ in found(**settings)] == ids


COMMON = "django.middleware.common.CommonMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
OURS = "health.middleware.HealthMiddleware"
ACTIVITY = "metrics.activity.ActivityMiddleware"


@pytest.mark.parametrize(
    ("middleware", "settings", "ids"),
    [
        ([OURS, SECURITY, COMMON], {"SECURE_SSL_REDIRECT": True}, []),
        ([SECURITY, OURS, COMMON], {}, []),
        ([SECURITY, OURS, COMMON], {"SECURE_SSL_REDIRECT": True}, ["W003"]),
        ([SECURITY, COMMON], {"SECURE_SSL_REDIRECT": True}, ["W002", "W003"]),
        ([SECURITY, COMMON], {"ALLOWED_HOSTS": ["*"]}, []),
        ([COMMON, OURS], {"ALLOWED_HOSTS": ["example.org"]}, ["W002"]),
    ],
)
def test_what_would_turn_a_probe_away(
    middleware: list[str], settings: dict[str, Any], ids: list[str]
) -> None:
    """The order of MIDDLEWARE matters only where a setting is strict."""
    middleware = [*middleware, ACTIVITY]
    seen = found(**{"MIDDLEWARE": middleware, "ALLOWED_HOSTS": ["example.org"], **settings})
    assert [check_id for check_id, _ in seen] == ids


def test_what_the_other_app_has_to_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it processes share nothing; without its middleware nobody is seen to be busy."""
    assert found(MIDDLEWARE=[OURS]) == [
        ("W004", "busy and stuck workers look idle: nothing tells which requests are in progress")
    ]
    monkeypatch.setattr(apps, "is_installed", lambda name: name != "metrics")
    assert found() == [
        ("E022", "the processes of this service share nothing: INSTALLED_APPS lacks 'metrics'")
    ]


def test_apps_may_be_made_ready_again() -> None:
    """A project's test that changes INSTALLED_APPS does so, and registers nothing twice."""
    with modify_settings(INSTALLED_APPS={"remove": ["django_prometheus"]}):
        assert found() == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "SENTINEL_STUCK_SECONDS",
            0,
            "SENTINEL_STUCK_SECONDS must be a number of seconds above 0, or None, not 0",
        ),
        (
            "SENTINEL_STUCK_SECONDS",
            True,
            "SENTINEL_STUCK_SECONDS must be a number of seconds above 0, or None, not True",
        ),
        (
            "SENTINEL_HEALTH_URLCONF",
            "no/module",
            "SENTINEL_HEALTH_URLCONF must be the dotted path of a module, not 'no/module'",
        ),
        *(
            (
                "SENTINEL_APPLICATION_KINDS",
                value,
                (
                    "SENTINEL_APPLICATION_KINDS must be None or a list of kinds of processes, as"
                    " 'celery' or 'manage.py db_worker', each of at most 32 ASCII characters,"
                    f" not {value!r}"
                ),
            )
            for value in ("celery", [], [""], ["größe"], ["a" * 33], [1], {"celery": 1})
        ),
    ],
)
def test_checks_name_the_setting(name: str, value: object, message: str) -> None:
    """A value that cannot be is told by ``manage.py check``."""
    with override_settings(**{name: value}):
        ids = {
            "SENTINEL_STUCK_SECONDS": "E020",
            "SENTINEL_HEALTH_URLCONF": "E021",
            "SENTINEL_APPLICATION_KINDS": "E023",
        }
        errors = [(e.id, e.msg) for e in run_checks() if e.msg.startswith(name)]
    assert errors == [(f"sentinel_health.{ids[name]}", message)]
