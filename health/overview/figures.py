"""All that the overview shows, as plain values: the verdict first, and what is wrong."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Any

from health.application.watch import observe
from health.application.workers import Application, Condition
from health.conf import conf
from health.core import verdict_text
from health.core.backend import BackendHealth
from health.core.policy import CRITICAL, DEGRADED, DRAINING, POLICIES, STALE, UNKNOWN, Verdict
from health.overview import budget, traffic, words
from health.overview.backends import by_state, last_results, streak
from health.overview.tables import Cell, Table
from health.readiness.assessment import assess
from metrics.collectors.process_figures import figures_of
from metrics.history import reading
from metrics.scraping.scraper import SCRAPER

SHOWN = 10
"""Rows of backends, if all others are healthy."""


def overview(minutes: int = reading.WHOLE, everything: Collection[str] = ()) -> dict[str, Any]:
    """Return what the page shows, JSON's types alone.

    ``everything`` names the tables that are to have all rows.
    """
    verdict = assess()
    application = observe()
    scraped = SCRAPER.read()
    now = time.time()
    window, missing = reading.read(minutes)
    sorts = [] if window is None else [traffic.of(window, kind) for kind in traffic.KINDS]
    shares = budget.shares(scraped.families)
    problems = [
        *_of_verdict(verdict),
        *_of_application(application),
        *(problem for one in sorts for problem in traffic.problems(one, minutes)),
        *budget.problems(shares),
        *(f"missing from the figures: {text}" for text in scraped.left_out[:5]),
        *([missing] if missing else []),
    ]
    tables = [
        _workers(application),
        *(
            traffic.table(one, everything=one.kind.name in everything)
            for one in sorts
            if one.has_calls
        ),
        _backends(verdict, everything="backends" in everything),
        budget.table(shares),
    ]
    return {
        "at": now,
        "minutes": minutes,
        "status": verdict.status,
        "status_text": verdict.status.replace("_", " "),
        "reason": verdict.reason or "",
        "arithmetic": arithmetic(verdict),
        "application": _application(application),
        "problems": problems,
        "tables": [table.as_dict() for table in tables],
        "charts": {one.kind.name: traffic.chart(one) for one in sorts if one.has_calls},
    }


def arithmetic(verdict: Verdict) -> str:
    """Say how the verdict comes about."""
    name = conf.readiness_name
    counted = list(verdict.backends.values())
    if verdict.reason == DRAINING:
        return "this host is marked as draining, so it is not ready whatever its backends say"
    if name == CRITICAL:
        counted = [b for b in counted if CRITICAL in b.tags]
    healthy = sum(b.state(verdict.clock) == "healthy" for b in counted)
    many = len(counted)
    which = "critical backends" if name == CRITICAL else "backends"
    text = f"{healthy} of {many} {which} {'is' if healthy == 1 else 'are'} healthy"
    asks = {"any": "one is enough", "all": "all have to be", CRITICAL: "all of these have to be"}
    text += f"; {asks[name]}" if name in POLICIES else f"; {name} decides"
    if verdict.reason == DEGRADED:
        text += "; what fails is shared by all hosts, so this one stays ready"
    elif verdict.reason == STALE or verdict.status == UNKNOWN:
        text += "; too little is known of the others"
    return text


def _of_verdict(verdict: Verdict) -> Iterator[str]:
    reason = f" ({verdict.reason})" if verdict.reason else ""
    if not verdict.is_ready:
        yield f"the service is {verdict.status.replace('_', ' ')}{reason}: {arithmetic(verdict)}"
    elif verdict.reason:
        yield f"the service is ready, but {verdict.reason}: {arithmetic(verdict)}"
    for name, b in sorted(verdict.backends.items()):
        state = b.state(verdict.clock)
        if state != "healthy":
            yield f"backend {name} is {state}{_how_long(b, verdict.clock)}"


def _how_long(b: BackendHealth, clock: float) -> str:
    age = b.age(clock)
    if age is None:
        return ", and was never checked"
    if b.is_stale(clock):
        return f": its last check was {verdict_text.duration(age)} ago"
    if b.since is None or b.last_check is None:
        return ""
    return f" for {verdict_text.duration(max(0.0, b.last_check - b.since) + age)}"


def _of_application(application: Application | None) -> Iterator[str]:
    if application is None:
        return
    if trouble := application.trouble:
        yield trouble
    elif application.is_blind:
        yield "workers live, but none has a lane in the run directory: their figures are not seen"
    elif application.is_saturated:
        oldest = verdict_text.duration(application.oldest_request_seconds)
        yield f"saturated: no worker is free, and the oldest request has run for {oldest}"


def _application(application: Application | None) -> str:
    if application is None:
        return "nothing is known of the application's workers"
    alive, busy = len(application.alive), application.requests_in_progress
    text = f"{alive} worker{'' if alive == 1 else 's'}, {busy} request{'' if busy == 1 else 's'}"
    if not busy:
        return f"{text} in progress"
    oldest = verdict_text.duration(application.oldest_request_seconds)
    return f"{text} in progress, the oldest for {oldest}"


def _workers(application: Application | None) -> Table:
    rows = []
    for worker, condition in application.workers if application else ():
        if condition is Condition.LEFT:
            continue
        figures = figures_of(worker)
        age = time.time() - worker.started if worker.started and worker.alive else None
        rows.append(
            [
                Cell(worker.kind or "process"),
                Cell(str(worker.number)),
                Cell(str(worker.pid)),
                Cell(condition, state=condition),
                Cell(words.NONE if age is None else verdict_text.duration(max(0.0, age))),
                Cell(words.size(figures.resident_memory_bytes if figures else None)),
                Cell(str(worker.in_progress) if worker.alive else words.NONE),
            ]
        )
    return Table(
        "workers",
        "Workers",
        ("Kind", "Worker", "Process", "State", "Age", "Memory", "In progress"),
        frozenset((1, 2, 4, 5, 6)),
        rows,
        empty="No worker of the application has been seen.",
    )


def _backends(verdict: Verdict, *, everything: bool) -> Table:
    """Return those that are not healthy first, and all of them; of the others some."""
    rows = []
    states = {name: b.state(verdict.clock) for name, b in verdict.backends.items()}
    names = by_state(verdict)
    ill = sum(state != "healthy" for state in states.values())
    shown = names if everything else names[: max(ill, SHOWN)]
    results = last_results(shown)
    for name in shown:
        b = verdict.backends[name]
        age = b.age(verdict.clock)
        rows.append(
            [
                Cell(name, page=("backend", name)),
                Cell(states[name], state=states[name]),
                Cell(streak(b)),
                Cell("never" if age is None else f"{verdict_text.duration(age)} ago"),
                Cell(words.NONE if b.latency is None else words.seconds(b.latency)),
                Cell("", spark=[one.latency for one in results.get(name, ())]),
                Cell(", ".join(b.tags)),
            ]
        )
    left = len(names) - len(shown)
    return Table(
        "backends",
        "Backends",
        ("Backend", "State", "Checks in a row", "Last check", "Latency", "Last latencies", "Tags"),
        frozenset((4,)),
        rows,
        empty="No backend is registered.",
        note=f"{left} more, all of them healthy." if left else "",
        more=left,
    )
