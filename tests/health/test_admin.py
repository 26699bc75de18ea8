"""The admin pages of backends and transitions."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from health.board import BOARD
from health.models import Transition
from health.readiness import drain


@pytest.fixture
def staff(client: Client, db: None) -> tuple[Client, User]:
    """Log a member of the staff in who may do nothing yet."""
    user = User.objects.create_user("staff", password="x", is_staff=True)
    client.force_login(user)
    return client, user


def _allow(user: User, *codenames: str) -> None:
    user.user_permissions.add(
        *Permission.objects.filter(
            content_type__app_label="sentinel_health", codename__in=codenames
        )
    )


BACKENDS = "/admin/sentinel_health/backend/"
TRANSITIONS = "/admin/sentinel_health/transition/"


def test_the_admin_shows_backends_to_those_who_may_see_them(staff: tuple[Client, User]) -> None:
    """The page needs a permission, and the errors on it another one."""
    client, user = staff
    drain.unmark()
    BOARD.clear()
    BOARD.report("tools", True, latency=0.0123)
    BOARD.report("<db>", False, error="refused by 10.9.8.7")
    try:
        assert client.get(BACKENDS).status_code == 403
        _allow(user, "view_backend")
        page = client.get(BACKENDS)
        assert page.status_code == 200
        text = page.content.decode()
        assert "&lt;db&gt;" in text
        assert "12.3 ms" in text
        assert "10.9.8.7" not in text
        _allow(user, "view_errors")
        assert "refused by 10.9.8.7" in client.get(BACKENDS).content.decode()
    finally:
        BOARD.clear()


def test_the_admin_shows_transitions_and_changes_none(staff: tuple[Client, User]) -> None:
    """History is there to be read: there is no way to add, change or delete."""
    client, user = staff
    row = Transition.objects.create(
        backend="db", was=True, healthy=False, at=timezone.now(), error="refused by 10.9.8.7"
    )
    assert client.get(TRANSITIONS).status_code == 403
    _allow(user, "view_transition")
    text = client.get(TRANSITIONS).content.decode()
    assert "db" in text
    assert "10.9.8.7" not in text
    assert client.get(f"{TRANSITIONS}{row.pk}/change/").status_code == 200
    assert "10.9.8.7" not in client.get(f"{TRANSITIONS}{row.pk}/change/").content.decode()
    for path in (f"{TRANSITIONS}add/", f"{TRANSITIONS}{row.pk}/delete/"):
        assert client.post(path, {"post": "yes"}).status_code == 403
    _allow(user, "view_errors")
    assert "10.9.8.7" in client.get(TRANSITIONS).content.decode()
