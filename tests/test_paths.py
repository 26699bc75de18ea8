"""SENTINEL_PATHS: at which paths the endpoints answer, and what the checks say of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path, re_path, reverse

import health.urls  # noqa: F401  both are made of the settings when they are imported: now
import metrics.urls  # noqa: F401
from health import accesslog
from health.board import BOARD
from health.middleware import VIEWS
from metrics import endpoints, paths
from metrics import views as metrics_views

HEALTH = "health.middleware.HealthMiddleware"
METRICS = "metrics.middleware.MetricsMiddleware"
KUBERNETES = {"health": ["/healthz", "/livez/"], "ready": "/readyz", "metrics": "/internal/metrics"}


@pytest.fixture(autouse=True)
def _ready() -> Iterator[None]:
    """Let a backend be healthy, so that /ready is 200."""
    BOARD.report("a", True)
    yield
    BOARD.clear()


def without(*names: str) -> list[str]:
    """Return MIDDLEWARE of the sample project but for some."""
    return [name for name in settings.MIDDLEWARE if name not in names]


def urls(*entries: Any) -> ModuleType:
    """Return a urlconf."""
    module = ModuleType("urls_of_a_test")
    module.urlpatterns = list(entries)  # type: ignore[attr-defined]
    return module


def health_urls() -> Any:
    """Return what including health.urls gives where the settings are read just now."""
    return include(([p for n, v in VIEWS.items() for p in endpoints.patterns(n, v)], "sentinel"))


def found(**changed: Any) -> list[tuple[str, str]]:
    """Return id and message of what the checks of both apps say."""
    with override_settings(**changed):
        return [
            (str(m.id).removeprefix("sentinel_"), m.msg)
            for m in run_checks()
            if str(m.id).startswith("sentinel_")
        ]


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        ("/x", ["SENTINEL_PATHS must be a dict of endpoints and their paths, not '/x'"]),
        (
            {"live": "/livez"},
            ["SENTINEL_PATHS has 'live', which is none of health, ready, started, metrics"],
        ),
        ({"health": []}, ["SENTINEL_PATHS['health'] must name a path or several, not []"]),
        *(
            (
                {"ready": ["/fine", bad]},
                [
                    (
                        "SENTINEL_PATHS['ready'] must be a path such as \"/api/ready\", or a list"
                        f" of such, not {bad!r}"
                    )
                ],
            )
            for bad in ("readyz", "/", "", "//x", "/a//b", "/a b", "/a?b", "/<x>", "/a%20", 1, None)
        ),
        ({"health": "/ready"}, ["SENTINEL_PATHS gives /ready to health and to ready"]),
        ({"health": "/x", "ready": "/x/"}, ["SENTINEL_PATHS gives /x to health and to ready"]),
        (
            {"health": 1, "ready": ""},
            [
                f"SENTINEL_PATHS['{name}'] must be a path such as \"/api/{name}\", or a list of"
                f" such, not {bad!r}"
                for name, bad in (("health", 1), ("ready", ""))
            ],
        ),
    ],
)
def test_what_is_wrong_is_said(value: Any, messages: list[str]) -> None:
    """Each key that cannot be used is named, by the check and by a server that does not start."""
    assert found(SENTINEL_PATHS=value) == [("metrics.E005", text) for text in messages]
    with override_settings(SENTINEL_PATHS=value):
        for middleware in (HEALTH, METRICS):
            with (
                override_settings(MIDDLEWARE=[middleware]),
                pytest.raises(ImproperlyConfigured) as e,
            ):
                WSGIHandler()
            assert str(e.value) == "; ".join(messages)


def test_a_wrong_setting_is_raised_where_only_the_urls_are_used() -> None:
    """A probe is not answered by defaults that nobody asked for."""
    with override_settings(SENTINEL_PATHS={"ready": 1}):
        changed = {"MIDDLEWARE": [], "ROOT_URLCONF": urls(path("", health_urls()))}
    message = r"SENTINEL_PATHS\['ready'\] must be"
    with override_settings(**changed), pytest.raises(ImproperlyConfigured, match=message):
        Client().get("/ready")


@override_settings(SENTINEL_PATHS=KUBERNETES)
def test_the_middlewares_answer_the_paths_that_are_named() -> None:
    """Each with and without a slash; what is not named stays, what is replaced is the site's."""
    for named in ("/healthz", "/livez", "/readyz", "/started", "/internal/metrics"):
        for spelling in (named, f"{named}/"):
            assert Client(headers={"host": "10.1.2.3"}).get(spelling).status_code == 200
    with override_settings(ROOT_URLCONF=urls()):
        for replaced in ("/health", "/ready", "/metrics"):
            assert Client().get(replaced).status_code == 404


@override_settings(SENTINEL_PATHS=KUBERNETES)
def test_the_async_middlewares_answer_them_too() -> None:
    """In an async stack the same paths are answered, and others passed on."""

    async def statuses() -> list[int]:
        client = AsyncClient()
        wanted = ("/livez", "/readyz/", "/internal/metrics")
        return [(await client.get(p, headers={"host": "x"})).status_code for p in wanted]

    assert asyncio.run(statuses()) == [200, 200, 200]


def test_included_urls_have_the_last_part_of_each_path() -> None:
    """Where they are included says the rest; the first path of an endpoint is its name's."""
    changed = {"health": ["/api/healthz", "/api/livez"], "ready": "/api/readyz"}
    with override_settings(SENTINEL_PATHS=changed):
        included = urls(path("api/", health_urls()))
    with override_settings(MIDDLEWARE=[], ROOT_URLCONF=included):
        assert [reverse(f"sentinel:{n}") for n in VIEWS] == [
            "/api/healthz",
            "/api/readyz",
            "/api/started",
        ]
        for named in ("/api/healthz", "/api/livez", "/api/readyz", "/api/started"):
            assert Client().get(named).status_code == 200
            assert Client().get(f"{named}/").status_code == 200


def test_whole_patterns_are_the_paths_themselves() -> None:
    """The health server includes them at its root."""
    with override_settings(SENTINEL_PATHS={"ready": "/api/readyz"}):
        routes = [str(p.pattern) for p in endpoints.patterns("ready", VIEWS["ready"], whole=True)]
    assert routes == ["api/readyz", "api/readyz/"]


def other(request: HttpRequest) -> HttpResponse:
    """Answer in place of a probe."""
    return HttpResponse()


BELOW = path("api/", include("health.urls"))
NOT_ANSWERED = f"which {HEALTH} does not answer: it answers"


@pytest.mark.parametrize(
    ("entries", "changed", "messages"),
    [
        ([path("", include("health.urls"))], {}, []),
        ([], {}, []),  # the middleware needs no URLs
        (
            [BELOW],
            {},
            [
                f"the URLs serve /api/{n}, {NOT_ANSWERED} /{n}"
                for n in ("health", "ready", "started")
            ],
        ),
        ([BELOW], {"SENTINEL_PATHS": {n: f"/api/{n}" for n in VIEWS}}, []),
        (
            [re_path("^api/", include("health.urls"))],
            {"SENTINEL_PATHS": {n: f"/api/{n}" for n in VIEWS}},
            [],
        ),
        (
            [re_path("^healthz/?$", VIEWS["health"]), path("live/", VIEWS["health"])],
            {"SENTINEL_PATHS": {"health": ["/healthz", "/livez"]}},
            [f"the URLs serve /live, {NOT_ANSWERED} /healthz, /livez"],
        ),
        (
            i18n_patterns(path("", include("health.urls"))),
            {},
            [f"the URLs serve /en-us/{n}, {NOT_ANSWERED} /{n}" for n in VIEWS],
        ),
        ([path("<slug:tenant>/", include("health.urls"))], {}, []),  # one cannot tell
    ],
)
def test_urls_that_the_middleware_does_not_answer(
    entries: list[Any], changed: dict[str, Any], messages: list[str]
) -> None:
    """A probe of such a path would meet host checks and redirects; the check names each."""
    assert found(ROOT_URLCONF=urls(*entries), **changed) == [("health.W007", m) for m in messages]


def test_a_project_without_urls_is_in_order() -> None:
    """A worker or a library's tests may have none at all."""
    assert found(ROOT_URLCONF=None) == []


def _not_answered(name: str, answer: str) -> tuple[str, str]:
    return "health.W007", f"/{name} is not answered by health.views.{name}, but by {answer}"


@pytest.mark.parametrize(
    ("entries", "messages"),
    [
        ([path("", include("health.urls"))], []),
        ([], []),  # only the health server is asked
        ([BELOW], [_not_answered(n, "404") for n in VIEWS]),
        (
            [path("ready", other), path("", include("health.urls"))],
            [_not_answered("ready", f"{__name__}.other")],
        ),
    ],
)
def test_paths_that_nothing_answers_without_the_middleware(
    entries: list[Any], messages: list[tuple[str, str]]
) -> None:
    """Where the URLs alone serve the endpoints, the check names the paths that they do not."""
    middleware = [m for m in without(HEALTH) if "Common" not in m]
    assert found(ROOT_URLCONF=urls(*entries), MIDDLEWARE=middleware) == messages


def test_urls_of_a_scrape_that_the_middleware_does_not_answer() -> None:
    """The same is said of /metrics, by the app that brings it."""
    below = urls(path("api/", include("metrics.urls")))
    said = f"the URLs serve /api/metrics, which {METRICS} does not answer: it answers /metrics"
    assert found(ROOT_URLCONF=below) == [("metrics.W004", said)]
    assert found(ROOT_URLCONF=below, SENTINEL_PATHS={"metrics": "/api/metrics"}) == []
    said = "/metrics is not answered by metrics.views.metrics, but by 404"
    middleware = [m for m in without(METRICS) if "Common" not in m]
    assert found(ROOT_URLCONF=below, MIDDLEWARE=middleware) == [("metrics.W004", said)]


SECURITY = "django.middleware.security.SecurityMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
CACHE = "django.middleware.cache.FetchFromCacheMiddleware"


@pytest.mark.parametrize(
    ("middleware", "changed", "health", "metrics"),
    [
        (COMMON, {"ALLOWED_HOSTS": ["example.org"]}, "W002", "ALLOWED_HOSTS"),
        (COMMON, {"ALLOWED_HOSTS": ["*"]}, None, None),
        (COMMON, {"ALLOWED_HOSTS": ["*"], "PREPEND_WWW": True}, "W005", "PREPEND_WWW"),
        (SECURITY, {"SECURE_SSL_REDIRECT": True}, "W003", "SECURE_SSL_REDIRECT"),
        (
            SECURITY,
            {"SECURE_SSL_REDIRECT": True, "SECURE_REDIRECT_EXEMPT": ["^health$", "ready$", "met"]},
            "W003",  # /started is redirected
            None,
        ),
        (
            SECURITY,
            {"SECURE_SSL_REDIRECT": True, "SECURE_REDIRECT_EXEMPT": ["^(health|ready|started)$"]},
            None,
            "SECURE_SSL_REDIRECT",
        ),
        (CACHE, {}, "W006", "CACHE_MIDDLEWARE_ALIAS"),
    ],
)
def test_what_keeps_a_request_from_its_answer(
    middleware: str, changed: dict[str, Any], health: str | None, metrics: str | None
) -> None:
    """Where the URLs alone serve the endpoints, the check names the setting in their way."""
    activity = "metrics.activity.ActivityMiddleware"
    seen = found(MIDDLEWARE=[activity, middleware], **changed)
    assert [code for code, _ in seen if code.startswith("health.")] == (
        [f"health.{health}"] if health else []
    )
    said = f"a scrape comes through {middleware}, and {metrics} may keep it from its answer"
    assert [m for m in seen if m[0].startswith("metrics.")] == (
        [("metrics.W005", said)] if metrics else []
    )
    assert found(MIDDLEWARE=[HEALTH, METRICS, activity, middleware], **changed) == []


@pytest.mark.parametrize("named", ["/health", "/ready", "/started", "/metrics"])
def test_a_login_that_all_views_require_is_not_required_of_probes(named: str) -> None:
    """LoginRequiredMiddleware would send a probe to a page that looks well to a kubelet."""
    middleware = [
        *without(HEALTH, METRICS),
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    with override_settings(MIDDLEWARE=middleware):
        response = Client().get(named)
        assert (response.status_code, response.cookies) == (200, {})
        assert Client().get("/admin/password_change/").status_code == 302
        assert Client(enforce_csrf_checks=True).post(named).status_code == 405


def _kept(method: str, path_info: str) -> bool:
    atoms = {"m": method, "U": path_info}
    record = logging.LogRecord("gunicorn.access", logging.INFO, "", 0, "%(m)s", (atoms,), None)
    return accesslog.ProbeFilter().filter(record)


def test_the_access_log_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of the paths that are configured are left out, and no others."""
    accesslog._configured.cache_clear()
    with override_settings(SENTINEL_PATHS=KUBERNETES):
        for named in ("/healthz", "/livez/", "/readyz", "/started", "/internal/metrics"):
            assert [_kept(m, named) for m in ("GET", "HEAD", "OPTIONS", "POST")] == [
                False,
                False,
                False,
                True,
            ]
        assert _kept("GET", "/health")
    accesslog._configured.cache_clear()
    with override_settings(SENTINEL_PATHS=1):
        assert [_kept("GET", p) for p in ("/health", "/healthz")] == [False, True]
    accesslog._configured.cache_clear()


def test_the_defaults_are_those_of_the_table() -> None:
    """Nothing set is what the documents say; a slash at the end says nothing."""
    assert paths.parse({}) == {
        "health": ("/health",),
        "ready": ("/ready",),
        "started": ("/started",),
        "metrics": ("/metrics",),
    }
    assert paths.parse(KUBERNETES) == {
        "health": ("/healthz", "/livez"),
        "ready": ("/readyz",),
        "started": ("/started",),
        "metrics": ("/internal/metrics",),
    }
    assert metrics_views.metrics.login_required is False  # type: ignore[attr-defined]
