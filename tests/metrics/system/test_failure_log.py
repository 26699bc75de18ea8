"""The first of a row of failures goes into the log, and no more."""

from __future__ import annotations

import logging

import pytest

from metrics.system.failure_log import FailureLog

logger = logging.getLogger("tests.failures")


def test_the_first_of_a_row_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A failure that goes on is logged once, and again when it comes back after an end."""
    log = FailureLog(logger)
    for number in range(3):
        log.failed("cannot: %d", number)
    assert log.ended() is True
    assert log.ended() is False
    log.failed("cannot: %d", 3, level=logging.WARNING)
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("ERROR", "cannot: 0"),
        ("WARNING", "cannot: 3"),
    ]


def test_rows_are_told_apart_by_their_keys(caplog: pytest.LogCaptureFixture) -> None:
    """One row's end is not another's; `all_ended` keeps those that it is told of."""
    log = FailureLog(logger)
    for key in ("a", "b", "a"):
        log.failed("%s", key, key=key)
    assert log.all_ended(but=["a"]) is True
    assert log.all_ended(but=["a"]) is False
    for key in ("a", "b"):
        log.failed("%s", key, key=key)
    assert [r.message for r in caplog.records] == ["a", "b", "b"]


def test_keys_without_end_do_not_fill_the_memory(caplog: pytest.LogCaptureFixture) -> None:
    """Beyond ``most`` rows at a time nothing more is remembered or logged."""
    log = FailureLog(logger, most=2)
    for number in range(5):
        log.failed("%d", number, key=str(number))
    assert [r.message for r in caplog.records] == ["0", "1"]
