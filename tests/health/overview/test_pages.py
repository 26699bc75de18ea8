"""The overview's page and JSON: who may see them, on which site, and what leads where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from health.board import BOARD

PAGE = "/admin/sentinel_health/overview/"
DATA = f"{PAGE}data/"


@pytest.fixture(autouse=True)
def _board(settings: Any) -> Iterator[None]:
    settings.SENTINEL_BACKENDS = {}
    BOARD.clear()
    BOARD.report("<b>tools</b>", False, error="refused by 10.9.8.7")
    yield
    BOARD.clear()


@pytest.fixture
def viewer(client: Client, db: None) -> Client:
    """Return a client of staff that may view the overview and nothing else."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_overview"))
    client.force_login(user)
    return client


@pytest.mark.parametrize("path", [PAGE, DATA])
@pytest.mark.django_db
def test_permission(client: Client, path: str) -> None:
    """Strangers log in, staff without the permission is refused, and nothing is kept by caches."""
    assert client.get(path).status_code == 302
    user = User.objects.create_user("staff", is_staff=True)
    client.force_login(user)
    assert client.get(path).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_overview"))
    answer = client.get(path)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]


def test_page(viewer: Client) -> None:
    """Without scripts all figures are there; names stay text; errors' texts are not shown."""
    text = viewer.get(PAGE).content.decode()
    assert "backend &lt;b&gt;tools&lt;/b&gt; is unhealthy" in text
    assert "10.9.8.7" not in text
    assert "10.9.8.7" not in viewer.get(DATA).content.decode()
    assert "Series budget" in text
    for marks in ("<script>", "style=", "onclick", "javascript:"):
        assert marks not in text.partition('id="content"')[2]


def test_links(viewer: Client, settings: Any) -> None:
    """What the user may not see is not led to."""
    assert "/metricfamily/" not in viewer.get(DATA).content.decode()
    user = User.objects.get(username="viewer")
    user.user_permissions.add(Permission.objects.get(codename="view_metricfamily"))
    assert "/admin/sentinel_metrics/metricfamily/" in viewer.get(DATA).content.decode()


@pytest.mark.parametrize("minutes", ["5", "60", "7", "x", "-1", "9" * 5000])
def test_span(viewer: Client, minutes: str) -> None:
    """A span that there is none of is the whole hour."""
    found = viewer.get(DATA, {"minutes": minutes}).json()
    assert found["minutes"] == (5 if minutes == "5" else 60)


def test_nothing_can_be_changed(viewer: Client) -> None:
    """There is no page to add, change, delete or look at the history."""
    for path in ("add/", "1/delete/", "1/history/", "1/change/"):
        assert viewer.get(PAGE + path).status_code == 404


@pytest.mark.django_db
def test_other_site(client: Client, settings: Any) -> None:
    """On an AdminSite of another name all links stay on it."""
    settings.ROOT_URLCONF = "tests.support.other_site"
    client.force_login(User.objects.create_superuser("root"))
    page = client.get("/operations/sentinel_health/overview/")
    assert page.status_code == 200
    text = page.content.decode()
    assert 'data-url="/operations/sentinel_health/overview/data/"' in text
    assert "/operations/sentinel_metrics/metricfamily/" in text
    assert "/admin/" not in text.replace("/static/admin/", "")
    index = client.get("/operations/").content.decode()
    assert index.index("Overview") < index.index("Users")
