"""GET /health, /ready and /started: exact answers."""

from __future__ import annotations

import asyncio
import html
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import AsyncClient, Client, override_settings

from health.board import BOARD
from health.conf.backends import parse
from health.core import clock
from health.prober import autostart
from health.readiness import drain

DATABASE = {"PROBE": "health.probes.DatabaseProbe"}


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """Each test begins with an empty board and without a drain mark, and leaves none."""
    BOARD.clear()
    drain.unmark()
    yield
    BOARD.clear()
    drain.unmark()


def answer(path: str, **extra: Any) -> tuple[int, str, str]:
    """Return status, content type and body of a GET."""
    response = Client().get(path, **extra)
    return response.status_code, response.headers["Content-Type"], response.content.decode()


JSON = "application/json"
NO_BACKENDS = '{"status": "not_ready", "reason": "no backends registered"}'
STALE = '{"status": "not_ready", "reason": "checker stale"}'
DRAINING = '{"status": "not_ready", "reason": "draining"}'


def test_health_asks_nothing_of_any_backend() -> None:
    """Liveness is 200 however ill the backends are."""
    BOARD.report("db", False)
    assert answer("/health") == (200, JSON, '{"status": "ok"}')


def test_not_ready_without_backends() -> None:
    """No backend known is not ready, and says so."""
    assert answer("/ready") == (503, JSON, NO_BACKENDS)


def test_ready_with_a_healthy_backend() -> None:
    """One healthy backend of two is enough for the policy any."""
    BOARD.report("a", True)
    BOARD.report("b", False)
    assert answer("/ready") == (200, JSON, '{"status": "ready"}')


def test_not_ready_when_every_backend_is_unhealthy() -> None:
    """Backends that are known to be ill give no reason to the public."""
    BOARD.report("a", False, error="refused")
    BOARD.report("b", False)
    assert answer("/ready") == (503, JSON, '{"status": "not_ready"}')


def test_a_backend_that_was_never_checked_is_not_healthy() -> None:
    """A configured backend without a check makes the checker suspect, not the backend."""
    with override_settings(SENTINEL_BACKENDS={"db": DATABASE}):
        assert answer("/ready") == (503, JSON, STALE)


def test_not_ready_while_draining() -> None:
    """The drain mark outweighs healthy backends, and goes again."""
    BOARD.report("a", True)
    drain.mark()
    assert answer("/ready") == (503, JSON, DRAINING)
    assert answer("/health") == (200, JSON, '{"status": "ok"}')
    drain.unmark()
    assert answer("/ready")[0] == 200


def test_an_outage_of_what_all_share_leaves_the_host_in_the_balancer() -> None:
    """With the setting, ill shared backends alone are degraded and ready, in every format."""
    shared = parse({"db": {**DATABASE, "SCOPE": "shared", "FALL": 1}, "own": DATABASE})
    BOARD.update(lambda document: document.declare(c.unchecked for c in shared.values()))
    BOARD.report("db", False)
    BOARD.report("own", True)
    with override_settings(SENTINEL_READINESS="all"):
        assert answer("/ready") == (503, JSON, '{"status": "not_ready"}')
        with override_settings(SENTINEL_SHARED_FAILURE="degraded"):
            assert answer("/ready") == (200, JSON, '{"status": "ready", "reason": "degraded"}')
            draft = Client().get("/ready", headers={"accept": "application/health+json"})
            assert (draft.status_code, draft.json()["status"]) == (200, "warn")
            for _ in range(3):
                BOARD.report("own", False)
            assert answer("/ready") == (503, JSON, '{"status": "not_ready"}')


def test_stale_is_said_to_be_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check older than three intervals and a timeout counts for nothing."""
    backends = parse({"db": DATABASE})
    BOARD.update(lambda document: document.declare(c.unchecked for c in backends.values()))
    BOARD.report("db", True)
    assert answer("/ready") == (200, JSON, '{"status": "ready"}')
    later = clock.now() + 33
    monkeypatch.setattr(clock, "now", lambda: later)
    assert answer("/ready") == (503, JSON, STALE)


def test_exclude_passes_a_backend_over() -> None:
    """What is excluded counts neither for nor against."""
    BOARD.report("a", True)
    BOARD.report("b", False)
    assert answer("/ready?exclude=a") == (503, JSON, '{"status": "not_ready"}')
    assert answer("/ready?exclude=b") == (200, JSON, '{"status": "ready"}')


@pytest.mark.parametrize("policy", ["any", "all", "critical"])
def test_nothing_left_to_judge_is_not_ready(policy: str) -> None:
    """With all excluded, or a tag that none has, nothing speaks for readiness; that is said."""
    body = '{"status": "not_ready", "reason": "no backends selected"}'
    BOARD.report("a", True)
    with override_settings(SENTINEL_READINESS=policy):
        for query in ("exclude=a", "tag=mistyped"):
            assert answer(f"/ready?{query}") == (503, JSON, body)
    BOARD.clear()
    assert answer("/ready?exclude=a") == (503, JSON, NO_BACKENDS)


def test_started_waits_for_the_first_check_of_each_backend() -> None:
    """A startup probe is 503 until everything was checked once, whatever came of it."""
    assert answer("/started") == (200, JSON, '{"status": "started"}')
    with override_settings(SENTINEL_BACKENDS={"db": DATABASE}):
        assert answer("/started") == (503, JSON, '{"status": "starting"}')
        BOARD.report("db", False)
        assert answer("/started") == (200, JSON, '{"status": "started"}')


@pytest.mark.parametrize("path", ["/health", "/ready", "/started"])
def test_every_answer_may_not_be_stored_and_sets_no_cookie(path: str) -> None:
    """Probes get no cookie, and proxies may keep nothing."""
    response = Client().get(path)
    assert response.headers["Cache-Control"] == "no-store"
    assert not response.cookies


@pytest.mark.parametrize("path", ["/health", "/ready", "/started"])
def test_head_works_and_unsafe_methods_do_not(path: str) -> None:
    """HEAD has GET's status and headers and no body; the rest is 405 with Allow."""
    for accept in ("*/*", "text/html", "application/health+json"):
        get, head = (
            Client().generic(method, path, headers={"accept": accept}) for method in ("GET", "HEAD")
        )
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert dict(head.headers) == dict(get.headers)
        assert head.headers["Content-Length"] == str(len(get.content))
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        response = Client().generic(method, path)
        assert response.status_code == 405
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS"
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/health+json"])
def test_options_is_answered_by_the_verdict(accept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OPTIONS, HAProxy's default, has GET's status and body, and says what is allowed."""
    moment = clock.now()
    monkeypatch.setattr(clock, "now", lambda: moment)  # or ages go on between the two
    headers = {"accept": accept}
    for healthy, status in ((True, 200), (False, 503)):
        BOARD.report("a", healthy)
        for path, expected in (("/health", 200), ("/ready", status), ("/ready?verbose", status)):
            get, options = (
                Client().generic(method, path, headers=headers) for method in ("GET", "OPTIONS")
            )
            assert (get.status_code, options.status_code) == (expected, expected)
            assert options.content == get.content
            assert dict(options.headers) == {**get.headers, "Allow": "GET, HEAD, OPTIONS"}


@pytest.mark.parametrize("path", ["/health", "/ready", "/started"])
def test_a_trailing_slash_makes_no_difference(path: str) -> None:
    """The answer is the same, and no redirect, whether the middleware or the URLs give it."""
    BOARD.report("a", True)
    for middleware in (settings.MIDDLEWARE, settings.MIDDLEWARE[1:]):
        with override_settings(MIDDLEWARE=middleware, ALLOWED_HOSTS=["*"]):
            assert answer(f"{path}/") == answer(path)
            assert answer(path)[0] == 200
            assert answer(f"{path}//")[0] == 404


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_are_answered_whatever_the_host_and_the_scheme(path: str) -> None:
    """The pod's address as Host and SECURE_SSL_REDIRECT stop no probe, yet still all else."""
    BOARD.report("a", True)
    with override_settings(ALLOWED_HOSTS=["example.org"], SECURE_SSL_REDIRECT=True):
        assert answer(path, headers={"host": "10.1.2.3:9201"})[0] == 200
        client = Client(headers={"host": "10.1.2.3:9201"})
        assert client.get("/admin/").status_code in (301, 400)


def test_verbose_lists_backends_without_their_errors() -> None:
    """State, age and counts are for everybody; what went wrong is not."""
    BOARD.report("a", True, latency=0.5)
    BOARD.report("b", False, error="the password of bob is wrong")
    response = Client().get("/ready?verbose")
    body = response.json()
    assert (response.status_code, body["status"]) == (200, "ready")
    assert body["backends"]["a"] | {"age_seconds": 0, "last_check": 0, "since": 0} == {
        "healthy": True,
        "state": "healthy",
        "last_check": 0,
        "age_seconds": 0,
        "consecutive_failures": 0,
        "consecutive_successes": 1,
        "latency": 0.5,
        "since": 0,
        "scope": "local",
        "tags": [],
    }
    assert body["backends"]["b"]["state"] == "unhealthy"
    assert "bob" not in response.content.decode()


def test_ages_go_on_while_the_board_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer tells how old a check is now, not when the first of them was made."""
    BOARD.report("a", True)
    checked = BOARD["a"].checked
    assert checked is not None
    for seconds in (1.0, 2.0):
        monkeypatch.setattr(clock, "now", lambda at=checked + seconds: at)
        assert answer("/ready") == (200, JSON, '{"status": "ready"}')
        body = Client().get("/ready?verbose").json()
        assert body["age_seconds"] == body["backends"]["a"]["age_seconds"] == seconds


@pytest.mark.parametrize("accept", ["application/json", "text/html", "application/health+json"])
def test_details_are_for_permitted_eyes(accept: str) -> None:
    """With a token that the setting names the errors are shown, in each format."""
    BOARD.report("b", False, error="refused by 10.9.8.7")
    with override_settings(SENTINEL_HEALTH_DETAILS={"BEARER": ["t0ken"]}):
        for token, seen in (("t0ken", True), ("wr0ng", False)):
            headers = {"accept": accept, "authorization": f"Bearer {token}"}
            _, _, body = answer("/ready?verbose", headers=headers)
            assert ("refused by 10.9.8.7" in body) is seen


def test_the_ietf_drafts_body() -> None:
    """application/health+json says pass, warn or fail, and lists the checks."""
    kind = "application/health+json"
    headers = {"accept": kind}
    assert answer("/health", headers=headers) == (200, kind, '{"status": "pass"}')
    assert answer("/ready", headers=headers) == (
        503,
        kind,
        '{"status": "fail", "notes": ["no backends registered"]}',
    )
    BOARD.report("a", True, latency=0.0125)
    body = Client().get("/ready", headers=headers).json()
    check = body["checks"]["a:responseTime"][0]
    assert body["status"] == "pass"
    assert check.pop("time").endswith("Z")
    assert check == {
        "componentId": "a",
        "componentType": "component",
        "status": "pass",
        "observedValue": 12.5,
        "observedUnit": "ms",
    }
    BOARD.report("b", False)
    assert Client().get("/ready", headers=headers).json()["status"] == "warn"


def test_the_draft_loses_no_backend_to_another_of_much_the_same_name() -> None:
    """A colon cannot stand in a check's key; two names that then are one share it."""
    for name in ("a:b", "a_b"):
        BOARD.report(name, True)
    body = Client().get("/ready", headers={"accept": "application/health+json"}).json()
    (checks,) = body["checks"].values()
    assert [check["componentId"] for check in checks] == ["a:b", "a_b"]


@pytest.mark.parametrize("name", ["a/b", 'q"', "b\\s", "é😀", "<i>&", "%s{}", "a,b;c=d", "x" * 100])
@pytest.mark.parametrize("accept", [JSON, "text/html", "application/health+json"])
def test_any_name_goes_through_every_format(name: str, accept: str) -> None:
    """It can be listed, excluded, and read back as it was; in HTML it is text."""
    BOARD.report(name, True)
    BOARD.report("other", False)
    response = Client().get("/ready", {"verbose": ""}, headers={"accept": accept})
    text = response.content.decode()
    if accept == "text/html":
        assert html.escape(name) in text
    else:
        assert name in str(json.loads(text)).replace("\\\\", "\\")
    assert Client().get("/ready", {"exclude": name}, headers={"accept": accept}).status_code == 503


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("application/*", JSON),
        ("image/png", JSON),
        ("text/html;q=0.5, application/json", JSON),
        ("nonsense", JSON),
        (";;;,,,q=", JSON),
        ("text/html," * 200, JSON),  # nobody means that
        ("text/html", "text/html; charset=utf-8"),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html; charset=utf-8",
        ),
        ("application/health+json, */*;q=0.1", "application/health+json"),
    ],
)
def test_the_format_is_negotiated(accept: str, kind: str) -> None:
    """Browsers get a page and whoever asks for the draft gets it; all others JSON."""
    for path in ("/health", "/ready", "/started"):
        assert answer(path, headers={"accept": accept})[1] == kind


def test_the_page_escapes_names() -> None:
    """A backend's name is text on the page, whatever it holds."""
    BOARD.report("<script>x</script>", True)
    _, _, body = answer("/ready", headers={"accept": "text/html"})
    assert "&lt;script&gt;x&lt;/script&gt;" in body
    assert "<script>" not in body


def test_tags_narrow_what_counts() -> None:
    """?tag= asks for the backends that carry it."""
    backends = parse({"a": {**DATABASE, "TAGS": ["x"]}, "b": DATABASE})
    BOARD.update(lambda document: document.declare(c.unchecked for c in backends.values()))
    BOARD.report("a", False)
    BOARD.report("b", True)
    assert answer("/ready?tag=x")[0] == 503
    assert answer("/ready")[0] == 200


def test_answers_are_each_their_own() -> None:
    """What a middleware does to one answer is not seen in the next."""
    first, second = (Client().get("/health") for _ in range(2))
    first.headers["X-Mark"] = "1"
    first.set_cookie("c", "1")
    third = Client().get("/health")
    for other in (second, third):
        assert "X-Mark" not in other.headers
        assert not other.cookies
        assert other.content == b'{"status": "ok"}'


async def _get(path: str) -> tuple[int, bytes]:
    response = await AsyncClient().get(path, headers={"host": "10.1.2.3"})
    return response.status_code, response.content


def test_an_async_stack_answers_the_same() -> None:
    """Under ASGI the middleware answers too, whatever the host, and passes the rest on."""
    BOARD.report("a", True)
    with override_settings(ALLOWED_HOSTS=["example.org"]):
        assert asyncio.run(_get("/ready")) == (200, b'{"status": "ready"}')
        assert asyncio.run(_get("/admin/login/"))[0] == 400


@pytest.fixture
def fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process be one that nobody has asked yet."""
    monkeypatch.setattr(autostart, "_own", (0, None))
    with override_settings(SENTINEL_RUN_DIR=str(tmp_path / "run"), SENTINEL_TRANSITION_DAYS=0):
        yield
        _, ours = autostart._own
        if ours is not None:
            ours.stop()


def _well() -> None:
    """Check nothing."""


@pytest.mark.usefixtures("fresh_process")
@pytest.mark.parametrize("path", ["/ready", "/ready?verbose", "/started"])
def test_the_first_answer_waits_for_the_first_checks(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sets the checks off by asking is told what came of them."""
    monkeypatch.setattr(autostart, "FIRST_LOOK_SECONDS", 30)
    with override_settings(SENTINEL_BACKENDS={"a": {"PROBE": _well}}):
        assert answer(path)[0] == 200


@pytest.mark.usefixtures("fresh_process")
def test_the_first_answer_waits_in_an_async_stack_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """There it waits in a thread, and the event loop goes on."""
    monkeypatch.setattr(autostart, "FIRST_LOOK_SECONDS", 30)
    loop_went_on = threading.Event()

    async def ask() -> tuple[int, bytes]:
        asyncio.get_running_loop().call_soon(loop_went_on.set)
        return await _get("/ready")

    with override_settings(SENTINEL_BACKENDS={"a": {"PROBE": lambda: loop_went_on.wait(1)}}):
        assert asyncio.run(ask()) == (200, b'{"status": "ready"}')
        assert asyncio.run(_get("/ready")) == (200, b'{"status": "ready"}')


@pytest.mark.usefixtures("fresh_process")
def test_the_first_answer_does_not_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that hangs is not waited for: the answer is that too little is known."""
    monkeypatch.setattr(autostart, "FIRST_LOOK_SECONDS", 0.01)
    release = threading.Event()
    with override_settings(SENTINEL_BACKENDS={"a": {"PROBE": release.wait}}):
        assert answer("/ready") == (503, JSON, STALE)
        release.set()


@pytest.mark.parametrize("query", ["exclude=%ff%00", "verbose=&exclude=" + "x" * 5000, "&&==", "%"])
def test_strange_queries_are_no_fault_of_ours(query: str) -> None:
    """Whatever stands behind the question mark, the answer is one of readiness."""
    BOARD.report("a", True)
    status, kind, body = answer(f"/ready?{query}")
    assert (status, kind) == (200, JSON)
    assert body.startswith('{"status": "ready"')
