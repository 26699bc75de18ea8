"""The system checks of the metrics app: what each says, and under which id."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import django
import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from pytest_django import Settings

import metrics.checks
from metrics.conf import INSTRUMENTS, conf
from tests.support.harness import ROOT, project_env


def messages() -> list[tuple[str | None, str]]:
    """Return id and text of what the checks of this app find."""
    return [
        (found.id, found.msg) for found in run_checks() if str(found.id).startswith("sentinel_m")
    ]


def test_nothing_to_say() -> None:
    """The sample project's settings pass."""
    assert messages() == []


def test_an_objective_of_no_histogram(settings: Settings) -> None:
    """It is named, with what there is: a name that was misspelt would do nothing in silence."""
    settings.SENTINEL_OBJECTIVES = {"http_server_request_duration": 0.3}
    [(code, text)] = messages()
    assert code == "sentinel_metrics.W014"
    assert text.startswith("SENTINEL_OBJECTIVES names http_server_request_duration, which is no ")
    assert " http_server_request_duration_seconds," in text


NO_NAMES: list[Any] = [["requests", ["database"]], [{}], 5]


@pytest.mark.parametrize(
    ("name", "value", "code", "text"),
    [
        (
            "SENTINEL_RUN_DIR",
            "relative",
            "E001",
            "SENTINEL_RUN_DIR must be \"auto\", None or an absolute path, not 'relative'",
        ),
        *(
            (
                "SENTINEL_RUN_DIR",
                value,
                "E001",
                f'SENTINEL_RUN_DIR must be "auto", None or an absolute path, not {value!r}',
            )
            for value in ("/tmp/a\0b", "/tmp/\ud800", Path("/tmp/a\0b"), b"/tmp", 5)
        ),
        (
            "SENTINEL_METRICS_ENABLED",
            "no",
            "E002",
            "SENTINEL_METRICS_ENABLED must be True or False, not 'no'",
        ),
        ("SENTINEL_HISTORY", 1, "E014", "SENTINEL_HISTORY must be True or False, not 1"),
        (
            "SENTINEL_METRICS_ACCESS",
            {"BEARER": [""]},
            "E003",
            "SENTINEL_METRICS_ACCESS['BEARER'][0] must be a string that is not empty",
        ),
        (
            "SENTINEL_METRICS_MAX_SERIES",
            0,
            "E004",
            "SENTINEL_METRICS_MAX_SERIES must be a whole number above 0, not 0",
        ),
        (
            "SENTINEL_INSTRUMENT",
            ["requests", "databases"],
            "E006",
            (
                f"SENTINEL_INSTRUMENT must be a list of names out of {', '.join(INSTRUMENTS)},"
                " not ['requests', 'databases']"
            ),
        ),
        (
            "SENTINEL_INSTRUMENT",
            "requests",
            "E006",
            (
                f"SENTINEL_INSTRUMENT must be a list of names out of {', '.join(INSTRUMENTS)},"
                " not 'requests'"
            ),
        ),
        *(
            (
                "SENTINEL_INSTRUMENT",
                value,
                "E006",
                (
                    f"SENTINEL_INSTRUMENT must be a list of names out of {', '.join(INSTRUMENTS)},"
                    f" not {value!r}"
                ),
            )
            for value in NO_NAMES
        ),
        *(
            (
                "SENTINEL_BUCKETS",
                {"x": value},
                "E007",
                (
                    "SENTINEL_BUCKETS['x'] must be a list of numbers of seconds, each larger than"
                    f" the one before it, not {value!r}"
                ),
            )
            for value in ([2, 1], [1, 10**400], [10**16, 10**16 + 1], [float("nan")], [True])
        ),
        *(
            (
                "SENTINEL_OBJECTIVES",
                {"x": value},
                "E007",
                (f"SENTINEL_OBJECTIVES['x'] must be a number of seconds above 0, not {value!r}"),
            )
            for value in (0, 10**400, float("inf"), "1")
        ),
        (
            "SENTINEL_LABELS",
            {"a": "\ud800"},
            "E011",
            "SENTINEL_LABELS['a'] must be a text that is not empty, not '\\ud800'",
        ),
        (
            "SENTINEL_REQUESTS_NOT_MEASURED",
            {"ROUTES": ["a{9999999999999999999}"]},
            "E008",
            (
                "SENTINEL_REQUESTS_NOT_MEASURED['ROUTES']: 'a{9999999999999999999}' is no regular"
                " expression: the repetition number is too large"
            ),
        ),
        (
            "SENTINEL_REQUESTS_NOT_MEASURED",
            {"PATHS": ["("]},
            "E008",
            (
                "SENTINEL_REQUESTS_NOT_MEASURED['PATHS']: '(' is no regular expression: missing ),"
                " unterminated subpattern at position 0"
            ),
        ),
        (
            "SENTINEL_REQUESTS_NOT_MEASURED",
            {"METHODS": []},
            "E008",
            (
                "SENTINEL_REQUESTS_NOT_MEASURED must be a dict of PATHS and ROUTES, not"
                " {'METHODS': []}"
            ),
        ),
        *(
            (
                "SENTINEL_HTTP_CLIENT_HOSTS",
                value,
                "E009",
                (
                    "SENTINEL_HTTP_CLIENT_HOSTS must be None or a list of host names without"
                    f" scheme, port or path, not {value!r}"
                ),
            )
            for value in ("a.example", {"a": 1}, [1], [""], ["http://a.example/"], ["a.example:80"])
        ),
        (
            "SENTINEL_BUCKETS",
            {'sentinel_request_duration_seconds{route="x"}': [1]},
            "W014",
            (
                "SENTINEL_BUCKETS names a label route of sentinel_request_duration_seconds, which"
                " has tool."
            ),
        ),
    ],
)
def test_wrong_setting(settings: Settings, name: str, value: Any, code: str, text: str) -> None:
    """A setting that cannot be used is an error that names it and says what it must be."""
    setattr(settings, name, value)
    assert messages() == [(f"sentinel_metrics.{code}", text)]


def test_expressions_stand_for_themselves(settings: Settings) -> None:
    """Each has flags, groups and references of its own, wherever it stands in the list."""
    paths = ["^/a$", "(?i)^/b/", "^/(?P<x>c)(?P=x)$", "^/(?P<x>d)$", r"^/(e)\1$"]
    settings.SENTINEL_REQUESTS_NOT_MEASURED = {"PATHS": paths}
    assert messages() == []
    left_out = conf.requests_not_measured["PATHS"]
    assert left_out is not None
    tried = ("/a", "/A", "/B/", "/cc", "/c", "/d", "/ee", "/e")
    assert [path for path in tried if left_out.search(path)] == ["/a", "/B/", "/cc", "/d", "/ee"]
    assert conf.requests_not_measured["ROUTES"] is None


VARIABLES = [
    (
        "SENTINEL_METRICS_MAX_SERIES",
        "0",
        "(sentinel_metrics.E004) SENTINEL_METRICS_MAX_SERIES must be a whole number above 0, not 0",
    ),
    (
        "SENTINEL_METRICS_MAX_SERIES",
        "abc",
        (
            "(sentinel_metrics.E004) SENTINEL_METRICS_MAX_SERIES must be a whole number above 0,"
            " not 'abc'"
        ),
    ),
    (
        "SENTINEL_RUN_DIR",
        "relative",
        (
            '(sentinel_metrics.E001) SENTINEL_RUN_DIR must be "auto", None or an absolute path,'
            " not 'relative'"
        ),
    ),
    (
        "SENTINEL_METRICS_ACCESS",
        '"token"',
        "(sentinel_metrics.E003) SENTINEL_METRICS_ACCESS must be None or a dictionary",
    ),
    (
        "SENTINEL_METRICS_ACCESS",
        '{"BEARER": ["secret"]',
        "SENTINEL_METRICS_ACCESS must be JSON: Expecting ',' delimiter: line 1 column 22 (char 21)",
    ),
    (
        "SENTINEL_METRICS_ENABLED",
        "maybe",
        "SENTINEL_METRICS_ENABLED must be 1 or 0 (or true/false, yes/no, on/off), not 'maybe'",
    ),
    ("SENTINEL_BACKENDS", "{", "SENTINEL_BACKENDS must be JSON: Expecting property name"),
    ("SENTINEL_WEBHOOK", "http://x", "SENTINEL_WEBHOOK must be JSON: Expecting value"),
    (
        "SENTINEL_HEALTH_DETAILS",
        "3",
        "(sentinel_health.E009) SENTINEL_HEALTH_DETAILS must be None or a dictionary",
    ),
    (
        "SENTINEL_TRANSITION_DAYS",
        "ever",
        "SENTINEL_TRANSITION_DAYS must be a number of days, 0 or more, not 'ever'",
    ),
    (
        "SENTINEL_DRAIN_SECONDS",
        "nan",
        "SENTINEL_DRAIN_SECONDS must be a number of seconds, 0 or more, not nan",
    ),
    (
        "SENTINEL_STUCK_SECONDS",
        "soon",
        "SENTINEL_STUCK_SECONDS must be a number of seconds above 0, or None, not 'soon'",
    ),
    (
        "SENTINEL_HEALTH_URLCONF",
        "not-a-module",
        "SENTINEL_HEALTH_URLCONF must be the dotted path of a module, not 'not-a-module'",
    ),
    ("SENTINEL_LOG_LEVEL", "loud", "SENTINEL_LOG_LEVEL must be one of CRITICAL, "),
]


@pytest.mark.parametrize(("name", "value", "said"), VARIABLES)
def test_wrong_variable(tmp_path: Path, name: str, value: str, said: str) -> None:
    """An environment variable that cannot be used is named by ``manage.py check``."""
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, **project_env(tmp_path), name: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert said in done.stderr
    if "(sentinel_" in said:
        assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("SENTINEL_METRICS_MAX_SERIES", 0), ("SENTINEL_RUN_DIR", "relative")]
)
def test_no_server_starts_with_a_wrong_setting(
    settings: Settings, name: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What serves requests is not built, though no system check was run; the log has the reason."""
    setattr(settings, name, value)
    with pytest.raises(ImproperlyConfigured, match=name):
        WSGIHandler()
    apps.get_app_config("sentinel_metrics").ready()
    assert name in caplog.text


def test_token_files_that_open_nothing(settings: Settings, tmp_path: Path) -> None:
    """Each token file without a token is named; one with a token is well."""
    (tmp_path / "good").write_text("token\n")
    (tmp_path / "empty").touch()
    paths = [str(tmp_path / name) for name in ("good", "empty", "missing")]
    settings.SENTINEL_METRICS_ACCESS = {"BEARER_FILES": paths}
    assert messages() == [
        (
            "sentinel_metrics.W003",
            (
                f"The token file {path} of SENTINEL_METRICS_ACCESS opens nothing: it cannot be"
                " read, or has no token in it."
            ),
        )
        for path in paths[1:]
    ]


def test_middleware_that_comes_too_late(settings: Settings) -> None:
    """The middleware must come before those that may turn a scrape away."""
    ours = "metrics.middleware.MetricsMiddleware"
    settings.MIDDLEWARE = [*(name for name in settings.MIDDLEWARE if name != ours), ours]
    [(code, text)] = messages()
    assert code == "sentinel_metrics.W002"
    assert text == (
        "MIDDLEWARE has django_prometheus.middleware.PrometheusBeforeMiddleware before"
        " metrics.middleware.MetricsMiddleware, which can then not answer a scrape first."
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SENTINEL_DRAIN_SECOND", "Did you mean SENTINEL_DRAIN_SECONDS?"),
        ("SENTINEL_BACKEND", "Did you mean SENTINEL_BACKENDS?"),
        ("SENTINEL_Q", "Remove it, or rename it."),
    ],
)
def test_a_setting_that_nobody_reads(settings: Settings, name: str, hint: str) -> None:
    """A slip of the pen in a name is told, with the name that was meant."""
    setattr(settings, name, 1)
    [found] = [one for one in run_checks() if one.id == "sentinel_metrics.W012"]
    assert (found.msg, found.hint) == (f"{name} is no setting of Sentinel", hint)


def test_every_setting_that_is_read_has_a_known_name() -> None:
    """What the code calls a setting is in the list that the check knows."""
    known = {name for app in apps.get_app_configs() for name in getattr(app, "setting_names", ())}
    of_the_environment = {"SENTINEL_BIND", "SENTINEL_HEALTH_BIND", "SENTINEL_WORKERS"}
    found: set[str] = set()
    for app in ("metrics", "health"):
        for path in (ROOT / app).rglob("*.py"):
            found |= set(re.findall(r"SENTINEL_[A-Z_]*[A-Z]", path.read_text()))
    assert found - of_the_environment == known


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("file/run", "the run directory {}/file/run cannot be created in {}/file"),
        ("link", "the run directory {}/link is a symbolic link; name the directory itself"),
        ("fine", None),
        ("fine/deeper/still", None),
    ],
)
def test_a_run_directory_that_cannot_be_used(
    settings: Settings, tmp_path: Path, place: str, problem: str | None
) -> None:
    """The check says why, and creates nothing."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "fine").mkdir(mode=0o700)
    before = sorted(tmp_path.rglob("*"))
    settings.SENTINEL_RUN_DIR = str(tmp_path / place)
    found = [one.msg for one in run_checks() if one.id == "sentinel_metrics.W011"]
    where = str(tmp_path)
    expected = None if problem is None else problem.replace("{}", where)
    assert found == (
        []
        if expected is None
        else [
            f"SENTINEL_RUN_DIR: {expected}. Each process would count, probe and drain for itself."
        ]
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_measured_is_not_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instrument without its library is named."""
    settings.SENTINEL_INSTRUMENT = ["celery", "tasks"]
    monkeypatch.setattr(metrics.checks, "find_spec", lambda name: None)
    warnings = [each for each in run_checks() if each.id == "sentinel_metrics.W015"]
    assert [(each.msg.partition(":")[0], each.hint) for each in warnings] == [
        (
            "SENTINEL_INSTRUMENT names celery, and Celery is not installed",
            "Install it, or take the name out.",
        ),
        (
            "SENTINEL_INSTRUMENT names tasks, and Django has tasks from 6.0 on",
            "It needs Django 6.0, or take the name out.",
        ),
    ]
    monkeypatch.undo()
    found = [each.id for each in run_checks() if each.id == "sentinel_metrics.W015"]
    assert len(found) == (django.VERSION < (6, 0))


def test_requests_without_the_middleware(settings: Settings) -> None:
    """Whoever names them would wait for figures in vain; the default says nothing."""
    ours = "metrics.middleware.MetricsMiddleware"
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != ours]

    def found() -> list[str]:
        return [each.msg for each in run_checks() if each.id == "sentinel_metrics.W016"]

    settings.SENTINEL_INSTRUMENT = ["database"]
    assert not found()
    settings.SENTINEL_INSTRUMENT = ["requests"]
    assert found() == [
        f"SENTINEL_INSTRUMENT names requests, and MIDDLEWARE has no {ours}: none is measured."
    ]
    del settings.SENTINEL_INSTRUMENT
    assert not found()
