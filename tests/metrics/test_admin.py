"""The admin pages of the metric families."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from prometheus_client import Gauge

from metrics import admin_rows
from metrics.registry import METRICS, Status
from metrics.scraping.scraper import SCRAPER

LIST = "/admin/sentinel_metrics/metricfamily/"
PAGE = LIST + "sentinel_5Frequests_5Ftotal/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer() -> Client:
    """Return a client of staff that may view the families and nothing else."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_metricfamily"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def _one_call() -> None:
    """Let there be something to show."""
    METRICS.record_request('admin <"test">', Status.SUCCESS, 0.2)


def test_list(viewer: Client) -> None:
    """The list shows name, type, help, labels and number of series, and leads to the values."""
    text = viewer.get(LIST).content.decode()
    assert f'<a href="{PAGE}">sentinel_requests_total</a>' in text
    assert "Total number of tool requests, by tool and status" in text
    assert '<td data-label="Labels">status, tool</td>' in text
    assert 'href="?q=&amp;type=histogram"' in text


def test_list_filtered(viewer: Client) -> None:
    """A search looks at names, helps and labels; the filter at types."""
    text = viewer.get(LIST, {"q": "TOOL", "type": "histogram"}).content.decode()
    assert "sentinel_request_duration_seconds" in text
    assert "sentinel_requests_total" not in text
    assert "No metric family matches." in viewer.get(LIST, {"q": "no such thing"}).content.decode()


def test_page(viewer: Client) -> None:
    """The page of a family shows each sample's value, with labels that cannot do harm."""
    text = viewer.get(PAGE, {"q": 'tool="admin'}).content.decode()
    assert "admin &lt;&quot;test&quot;&gt;" in text
    assert "<wbr>" in text
    assert "Nothing" not in text
    assert "No sample matches." in viewer.get(PAGE, {"q": "no such thing"}).content.decode()


def test_page_of_no_family(viewer: Client) -> None:
    """A family that is not there is 404."""
    assert viewer.get(LIST + "nothing/").status_code == 404


def test_list_sorted(viewer: Client) -> None:
    """A heading sorts by its column; a second click turns the order round."""
    text = viewer.get(LIST, {"o": "-series", "type": "counter"}).content.decode()
    assert 'aria-sort="descending"><div class="text"><a href="?type=counter&amp;o=series">' in text
    names = viewer.get(LIST, {"o": "-name"}).content.decode()
    assert names.index("sentinel_requests_total") < names.index("sentinel_errors_total")
    assert viewer.get(LIST, {"o": "nonsense"}).status_code == 200


def test_list_figures(viewer: Client) -> None:
    """The JSON has what a scrape shows at that moment."""
    found = viewer.get(f"{LIST}data/").json()["families"]
    scraped = {row.name: row for row in admin_rows.rows(SCRAPER.read().families)}
    assert found.keys() == scraped.keys()
    ours = [name for name in found if name.startswith("sentinel_")]
    assert all(found[name]["series"] == scraped[name].series for name in ours)
    assert found["sentinel_requests_total"]["rate"] == ""  # there is no history in a test run


def test_pages(viewer: Client, registered: Any) -> None:
    """Many samples are shown a page at a time."""
    gauge = registered(Gauge("many_series", "", ["tool"], registry=None))
    for number in range(250):
        gauge.labels(f"tool {number:03}").set(1)
    page = LIST + "many_5Fseries/"
    first, third = (viewer.get(page, {"p": number}).content.decode() for number in (1, 3))
    assert "250 samples, page 1 of 3" in first
    assert first.count("tool 0") >= 100
    assert '<a href="?q=&amp;p=2">Next</a>' in first
    assert "Next" not in third
    assert "Previous" in third
    for given in ("0", "-1", "x", "9" * 400):
        assert viewer.get(page, {"p": given}).status_code == 200


def test_family_without_a_history(viewer: Client) -> None:
    """The page says why there is no chart, and its JSON has none."""
    assert "No rates and charts: SENTINEL_RUN_DIR is None." in viewer.get(PAGE).content.decode()
    assert viewer.get(f"{PAGE}data/").json() == {"chart": None}


@pytest.mark.parametrize("path", [LIST, PAGE, f"{LIST}data/", f"{PAGE}data/"])
def test_permission(path: str) -> None:
    """Staff without the permission is refused, and strangers are asked to log in."""
    client = Client()
    assert client.get(path).status_code == 302
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get(path).status_code == 403


def test_nothing_can_be_changed(viewer: Client) -> None:
    """There is no page to add, change, delete or look at the history."""
    for path in ("add/", "1/delete/", "1/history/", "1/change/"):
        assert viewer.get(LIST + path).status_code == 404
