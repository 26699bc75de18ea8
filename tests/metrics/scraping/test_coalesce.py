"""Scrapes at the same time share one run."""

from __future__ import annotations

import itertools
import os
import threading
import time
from types import SimpleNamespace

import pytest

from metrics.scraping import coalesce as flight_module
from metrics.scraping.coalesce import Coalescer
from tests.metrics.scraping.background import in_background, soon


def test_waiting_scrapes_share_one_run() -> None:
    """Callers that come while a run is under way share the next one, which begins after."""
    flight: Coalescer[int] = Coalescer()
    numbers = itertools.count(1)
    gates = [threading.Event(), threading.Event()]

    def work() -> int:
        number = next(numbers)
        gates[number - 1].wait(30)
        return number

    results: list[int] = []
    first = threading.Thread(target=lambda: results.append(flight.run(work, soon())))
    first.start()
    while not flight._busy:
        time.sleep(0.001)
    others = [
        threading.Thread(target=lambda: results.append(flight.run(work, soon()))) for _ in range(8)
    ]
    for thread in others:
        thread.start()
    for gate in gates:
        gate.set()
    for thread in (first, *others):
        thread.join()
    assert sorted(results)[0] == 1
    assert set(sorted(results)[1:]) == {2}


def test_a_failed_run_fails_for_all_and_the_next_one_is_new() -> None:
    """What the work raises reaches the caller, and the flight can be used again."""
    flight: Coalescer[int] = Coalescer()
    with pytest.raises(ZeroDivisionError):
        flight.run(lambda: 1 // 0, soon())
    assert flight.run(lambda: 7, soon()) == 7


def test_who_has_waited_in_vain_works_alone() -> None:
    """Behind a run that does not end, a caller whose time is up does the work for himself."""
    flight: Coalescer[str] = Coalescer()
    gate = threading.Event()
    thread, results = in_background(lambda: flight.run(lambda: str(gate.wait(30)), soon()))
    while not flight._busy:
        time.sleep(0.001)
    assert flight.run(lambda: "alone", time.monotonic() + 0.01) == "alone"
    gate.set()
    thread.join()
    assert results == ["True"]
    assert flight.run(lambda: "next", soon()) == "next"


@pytest.mark.parametrize(("took", "expected"), [(90.0, "first"), (10.0, "second")])
def test_who_has_little_time_left_takes_what_there_is(
    monkeypatch: pytest.MonkeyPatch, took: float, expected: str
) -> None:
    """After a run that took longer than what is left, its result is as good as it gets."""
    clock = [0.0]
    monkeypatch.setattr(flight_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    flight: Coalescer[str] = Coalescer()
    gate = threading.Event()

    def first() -> str:
        gate.wait(30)
        return "first"

    one, _ = in_background(lambda: flight.run(first, 1000.0))
    while not flight._busy:
        time.sleep(0.001)
    waiting = threading.Event()
    wait = flight._changed.wait

    def wait_and_tell(left: float | None) -> bool:
        waiting.set()
        return wait(left)

    monkeypatch.setattr(flight._changed, "wait", wait_and_tell)
    two, results = in_background(lambda: flight.run(lambda: "second", 95.0))
    waiting.wait(30)
    with flight._changed:  # from here on it really waits
        clock[0] = took
    gate.set()
    for thread in (one, two):
        thread.join()
    assert results == [expected]


def test_a_child_forked_during_a_run_can_scrape() -> None:
    """A fork while another thread is at work leaves the child a flight of its own."""
    flight: Coalescer[int] = Coalescer()
    gate = threading.Event()
    thread = threading.Thread(target=lambda: flight.run(lambda: int(gate.wait(30)), soon()))
    thread.start()
    while not flight._busy:
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        os._exit(0 if flight.run(lambda: 3, soon(5)) == 3 else 1)
    _, status = os.waitpid(child, 0)
    gate.set()
    thread.join()
    assert status == 0
