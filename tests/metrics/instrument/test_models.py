"""What is counted of rows that are written."""

from __future__ import annotations

import logging

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db.models.deletion import Collector
from django.db.models.signals import post_save
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from metrics.instrument import models as instrument
from tests.metrics.instrument.figures import Figures

WRITES = "django_model_writes_total"
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    instrument.install()
    instrument.install()


class Staff(User):
    """A proxy."""

    class Meta:
        """Of Django's own application."""

        app_label = "auth"
        proxy = True


def test_each_row_counts() -> None:
    """Under its own model; a link to another row is none."""
    writes = Figures(WRITES)
    user = User.objects.create(username="one")
    user.save()
    Staff.objects.create(username="two")
    group = Group.objects.create(name="all")
    user.groups.add(group)
    User.objects.all().delete()
    counted = {(row["model"], row["operation"]): row["n"] for row in writes.new()}
    assert counted == {
        ("auth.User", "insert"): 2,
        ("auth.User", "update"): 1,
        ("auth.User", "delete"): 2,
        ("auth.Group", "insert"): 1,
    }


def test_a_proxy_counts_as_what_it_stands_for() -> None:
    """One by one and many at a time, whether it is saved or deleted."""
    writes = Figures(WRITES)
    Staff.objects.create(username="one").delete()
    Staff.objects.create(username="two")
    Staff.objects.create(username="three")
    Staff.objects.all().delete()
    assert writes.new() == [
        {"model": "auth.User", "operation": "delete", "n": 3},
        {"model": "auth.User", "operation": "insert", "n": 3},
    ]


def test_a_signal_of_somebody_elses() -> None:
    """One that says nothing of a row counts none, and reaches the others."""
    writes = Figures(WRITES)
    post_save.send(sender=Group, instance=Group())
    assert not writes.new()


def test_deletions_stay_fast(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Rows that nothing hangs on are deleted by one statement, unseen, and are counted."""
    for number in range(3):
        Session.objects.create(session_key=str(number), expire_date=timezone.now())
    writes = Figures(WRITES)
    with django_assert_num_queries(1):
        Session.objects.all().delete()
    assert writes.new() == [{"model": "sessions.Session", "operation": "delete", "n": 3}]
    assert not Session.objects.all().delete()[0]
    assert len(writes.new()) == 1


def test_what_sends_no_signal_is_left_out() -> None:
    """What is written by one statement for many rows."""
    writes = Figures(WRITES)
    Group.objects.bulk_create([Group(name="a"), Group(name="b")])
    Group.objects.filter(name="a").update(name="c")
    assert not writes.new()


def test_a_fault_of_ours_loses_no_row(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged."""
    monkeypatch.setattr(instrument, "_of", None)
    with caplog.at_level(logging.ERROR):
        Group.objects.create(name="d").delete()
    assert "are not counted" in caplog.text
    assert "what is deleted is not counted" in caplog.text
    assert not Group.objects.filter(name="d").exists()


def test_installed_once() -> None:
    """Twice would count twice."""
    assert not hasattr(Collector.delete.__wrapped__, "__wrapped__")  # type: ignore[attr-defined]
    assert [key for (key, _), *_ in post_save.receivers].count(instrument.__name__) == 1
