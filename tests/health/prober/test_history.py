"""Transitions in the database."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from health.board.health_map import BackendHealthMap
from health.core.document import MAX_EVENTS
from health.models import Transition
from health.prober.history import Recorder


@pytest.mark.django_db
def test_each_transition_is_stored_once(board: BackendHealthMap) -> None:
    """Changes become rows, with what was before and why; checks that confirm do not."""
    for healthy in (True, True, False, True):
        board.report("db", healthy, error=None if healthy else "refused")
    recorder = Recorder(board)
    recorder.store()
    recorder.store()
    rows = Transition.objects.order_by("id").values_list("backend", "was", "healthy", "error")
    assert list(rows) == [
        ("db", None, True, ""),
        ("db", True, False, "refused"),
        ("db", False, True, ""),
    ]


@pytest.mark.django_db
def test_what_could_not_be_stored_is_stored_later(
    board: BackendHealthMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is down loses no transition, and a new prober goes on where it stopped."""
    board.report("db", False)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("the database is down")

    with monkeypatch.context() as patched:
        patched.setattr(Transition.objects, "bulk_create", fail)
        with pytest.raises(OSError, match="is down"):
            Recorder(board).store()
    assert Transition.objects.count() == 0
    board.report("db", True)
    Recorder(board).store()
    assert list(Transition.objects.order_by("id").values_list("healthy", flat=True)) == [
        False,
        True,
    ]


@pytest.mark.django_db
def test_transitions_beyond_number_are_forgotten_and_that_is_said(
    board: BackendHealthMap, caplog: pytest.LogCaptureFixture
) -> None:
    """The board keeps what is not stored yet, up to a number; once stored it keeps none."""
    recorder = Recorder(board)
    board.report("db", True)
    recorder.store()
    for turn in range(MAX_EVENTS + 3):
        board.report("db", turn % 2 == 1)
    recorder.store()
    assert Transition.objects.count() == MAX_EVENTS + 1
    assert "transitions: 3 were forgotten before they could be stored" in caplog.messages
    assert board.document().events == ()
    recorder.store()
    assert len(caplog.messages) == 1


@pytest.mark.django_db
def test_old_transitions_are_deleted(board: BackendHealthMap) -> None:
    """After SENTINEL_TRANSITION_DAYS a row goes."""
    for days in (1, 40):
        at = timezone.now() - datetime.timedelta(days=days)
        Transition.objects.create(backend=f"{days}", healthy=True, at=at)
    Recorder(board).store()
    assert [row.backend for row in Transition.objects.all()] == ["1"]


@pytest.mark.django_db
@override_settings(SENTINEL_TRANSITION_DAYS=0)
def test_nothing_is_stored_for_no_days(board: BackendHealthMap) -> None:
    """0 days store nothing, and the board does not keep what nobody wants."""
    board.report("db", True)
    Recorder(board).store()
    assert Transition.objects.count() == 0
    assert board.document().recorded == 1
