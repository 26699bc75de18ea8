"""The admin's pages in a browser, over real servers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import browser, harness
from tests.support.harness import Server
from tests.support.scraped import figures as figures_of

PAGE = "/admin/sentinel_health/overview/"
FAMILIES = "/admin/sentinel_metrics/metricfamily/"
BACKENDS_PAGE = "/admin/sentinel_health/backend/"
PAGES = (
    PAGE,
    BACKENDS_PAGE,
    FAMILIES,
    f"{FAMILIES}sentinel_5Frequests_5Ftotal/",
    f"{FAMILIES}sentinel_5Frequest_5Fduration_5Fseconds/",
    f"{FAMILIES}sentinel_5Fbackend_5Fhealthy/",
)
BACKENDS = {
    "search <b>": {
        "PROBE": "health.probes.TCPProbe",
        "OPTIONS": {"host": "127.0.0.1", "port": 9},
        "INTERVAL": 1,
        "TIMEOUT": 0.5,
    },
    "database": {"PROBE": "health.probes.DatabaseProbe", "INTERVAL": 1, "TIMEOUT": 0.5},
}

ENV = {"SENTINEL_BACKENDS": json.dumps(BACKENDS)}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Run the sample project, with one backend that fails and calls of three tools."""
    browser.create_users(tmp_path)
    # a browser's idle connections would hold workers of the class sync
    options = ("--worker-class", "gthread", "--threads", "8")
    with harness.serve(tmp_path, *options, workers=2, env=ENV) as running:
        harness.wait_until(lambda: history(tmp_path), "the history's first row")
        for _ in range(30):
            harness.post(running.port, "/tools/echo", 1)
            harness.post(running.port, "/tools/fail", 1)
        harness.wait_until(lambda: history(tmp_path, "sentinel_requests_total"), "their row")
        yield running


def history(tmp_path: Path, family: str = "") -> bool:
    """Whether a row was written with a family: what is counted from then on is an increase."""
    legend = tmp_path / "run" / "history.json"
    return legend.exists() and family in legend.read_text()


def shown(visitor: browser.Visitor) -> Any:
    """Return the page's JSON."""
    return visitor.page.evaluate(f"fetch('{PAGE}data/').then((answer) => answer.json())")


def rows(found: Any, name: str) -> dict[str, list[str]]:
    """Return the texts of a table's rows, by the first one."""
    texts = [[cell["text"] for cell in row] for row in table(found, name)]
    return {row[0]: row[1:] for row in texts}


def table(found: Any, name: str) -> list[list[dict[str, str]]]:
    """Return the rows of a table."""
    return [row for one in found["tables"] if one["name"] == name for row in one["rows"]]


def test_overview(server: Server, tmp_path: Path) -> None:
    """What is wrong comes first; the figures are a scrape's and health_status'; they go on."""
    with browser.visitor(server.port, "admin") as visitor:
        visitor.go("/admin/")
        links = visitor.page.locator("#content-main .module a").all_text_contents()
        assert [link.strip() for link in links[:2]] == ["Health", "Overview"]
        harness.wait_until(
            lambda: rows(shown(visitor), "tools").get("fail", ["", ""])[1] == "30",
            "the history's row of the calls",
        )
        visitor.go(PAGE)
        page = visitor.page
        problems = page.locator("[data-list=problems]").inner_text()
        assert "backend search <b> is unhealthy" in problems
        assert "100 % of 30 calls of tool fail failed" in problems
        assert page.locator(".sentinel-headline .sentinel-state").inner_text() == "ready"
        assert "1 of 2 backends is healthy; one is enough" in page.content()
        page.wait_for_selector(".u-over")
        assert page.locator(".sentinel-chart canvas").count() == 4
        found = shown(visitor)
        same_as_elsewhere(found, server, tmp_path)
        # another request, while the page is open
        harness.post(server.port, "/tools/hash", {"text": "x"})
        page.wait_for_selector("[data-table=tools] >> text=hash")
        page.wait_for_selector("[data-sentinel-live=on]")
        assert visitor.serious_findings() == []
        visitor.go(BACKENDS_PAGE)
        first = page.locator(".sentinel-backends tbody tr").first
        assert first.locator("th").inner_text() == "search <b>"
        assert "failed" in first.inner_text()
        assert "next probe" in first.inner_text()
        boxes = first.locator(".sentinel-strip li")
        assert boxes.count() >= 3
        assert {box.get_attribute("data-state") for box in boxes.all()} == {"bad"}
        assert visitor.faults == []


def same_as_elsewhere(found: Any, server: Server, tmp_path: Path) -> None:
    """Compare the figures with what a scrape and ``health_status`` say."""
    tools = rows(found, "tools")
    for (_status, tool), calls in figures_of(server.port, "sentinel_requests_total").items():
        assert tools[tool][1] == f"{calls:,.0f}"
    states = figures_of(server.port, "sentinel_workers")
    workers = [row[2]["text"] for row in table(found, "workers")]
    assert len(workers) == sum(states.values()) == 2
    done = harness.manage(tmp_path, "health_status", "--format", "json", env=ENV)
    told = json.loads(done.stdout)
    assert found["status"] == told["status"]
    backends = rows(found, "backends")
    assert {name: row[0] for name, row in backends.items()} == {
        name: b["state"] for name, b in told["backends"].items()
    }


def test_at_every_width(server: Server) -> None:
    """Nothing has to be scrolled sideways on a telephone, in light or dark."""
    for width in (1280, 390):
        for scheme in ("light", "dark"):
            with browser.visitor(server.port, "admin", width=width, scheme=scheme) as visitor:
                for path in PAGES:
                    visitor.go(path)
                    if path != BACKENDS_PAGE:
                        visitor.page.wait_for_selector("[data-sentinel-live=on]")
                    wide = visitor.page.evaluate("document.documentElement.scrollWidth")
                    assert (path, wide) == (path, width)
                    assert visitor.serious_findings() == []
                    assert visitor.faults == []


def test_families(server: Server) -> None:
    """The list and a family show what is counted, and go on; the keyboard leads through them."""
    with browser.visitor(server.port, "admin") as visitor:
        page = visitor.page
        visitor.go(f"{FAMILIES}?o=-series&q=sentinel_requests")
        row = page.locator("[data-family=sentinel_requests_total]")
        harness.post(server.port, "/tools/hash", {"text": "x"})
        row.locator('[data-figure=series] >> text="3"').wait_for()
        rate = row.locator("[data-figure=rate]").inner_text()
        assert rate.endswith("/s")
        page.get_by_role("link", name="sentinel_requests_total").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(".u-over")
        assert page.title().startswith("sentinel_requests_total")
        assert "sum by (status, tool) (rate(sentinel_requests_total[5m]))" in page.content()
        page.locator("#result_list").get_by_role("link", name='tool="hash"').click()
        page.get_by_text("1 sample", exact=True).wait_for()
        assert page.locator("#result_list tbody tr").count() == 1
        visitor.go(f"{FAMILIES}sentinel_5Frequest_5Fduration_5Fseconds/")
        page.wait_for_selector(".u-over")
        heat = page.locator("[data-chart=heat]")
        harness.wait_until(lambda: heat.evaluate(PAINTED), "the heat map")
        assert visitor.faults == []


PAINTED = """canvas => canvas.width > 0 && canvas.getContext("2d")
    .getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte)"""


def test_stopped_server(server: Server) -> None:
    """The page says that its figures are old when nobody answers."""
    with browser.visitor(server.port, "admin") as visitor:
        visitor.go(PAGE)
        visitor.page.wait_for_selector("[data-sentinel-live=on]")
        server.kill()  # an idle connection of the browser may keep a stop waiting
        visitor.page.wait_for_selector("[data-sentinel-live=off]")
        assert "old" in visitor.page.locator("[data-sentinel-live]").inner_text()


def test_history_outlives_the_workers(server: Server, tmp_path: Path) -> None:
    """After all workers were killed the page shows what was before, whichever answers."""
    with browser.visitor(server.port, "admin") as visitor:
        harness.wait_until(
            lambda: rows(shown(visitor), "tools").get("echo", ["", ""])[1] == "30", "the row"
        )
        before = time.time()
        for process in server.family().workers:
            process.kill()
        harness.wait_until(
            lambda: harness.post(server.port, "/tools/echo", 1).status == 200, "a new worker"
        )
        found = harness.wait_until(
            lambda: (f := shown(visitor))["charts"]["tools"]["times"][-1] > before and f,
            "a row of the time after",
        )
        assert int(rows(found, "tools")["echo"][1]) >= 30


def test_who_may_see_it(server: Server) -> None:
    """Strangers log in first, and staff needs the permission."""
    for path in (PAGE, f"{PAGE}data/"):
        answer = harness.get(server.port, path)
        assert (answer.status, answer.headers["location"]) == (
            302,
            f"/admin/login/?next={path}",
        )
    with browser.visitor(server.port, "staff") as visitor:
        for path in (PAGE, f"{PAGE}data/"):
            assert visitor.page.request.get(visitor.origin + path).status == 403
