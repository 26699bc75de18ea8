"""The one way to ask for readiness: views, commands and pages call this.

It reads the board and the drain mark: microseconds, and nothing is sent to a backend.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection

from health.board import BOARD
from health.conf import ReadinessSettings, conf
from health.core import clock
from health.core.document import Document
from health.core.policy import NOT_READY, Verdict, judge
from health.core.record import replace
from health.families import FAULTS
from health.readiness.drain import is_draining
from metrics.system.failure_log import FailureLog

logger = logging.getLogger(__name__)

_last: tuple[Document, ReadinessSettings, bool, Verdict] | None = None
"""The last verdict on the whole board, with what it was made from."""

MOST_LOGGED = 20
"""How many failures of a policy the log gets from a process at most, each once."""
_failures = FailureLog(logger, most=MOST_LOGGED)


def current() -> Verdict:
    """Return whether this service is ready, all backends considered.

    While the board does not change and nothing on it grows stale, the same object:
    its ages are those of the moment when it was made. `assess` tells those of now.
    """
    global _last
    document = BOARD.document()
    settings = conf.readiness_settings
    draining = is_draining()
    now = clock.now()
    if _last is not None:
        seen, before, drained, verdict = _last
        same = seen is document and before is settings and drained is draining
        if same and verdict.clock <= now <= verdict.valid_until:
            return verdict
    verdict = _judge(document, now, draining=draining)
    _last = (document, settings, draining, verdict)
    return verdict


def assess(*, exclude: Collection[str] = (), tags: Collection[str] = ()) -> Verdict:
    """Return the verdict without the backends in ``exclude``, or on those with ``tags`` only."""
    return _judge(BOARD.document(), clock.now(), draining=is_draining(), exclude=exclude, tags=tags)


def settle(document: Document) -> Document:
    """Write into ``document`` what readers need that cannot read the settings.

    The names of the settings, and the verdict on what the document holds.
    """
    verdict = _judge(document, clock.now(), draining=False)
    return document.judged(
        (verdict.status, verdict.reason),
        policy=conf.readiness_name,
        shared_failure=conf.shared_failure,
    )


def has_started() -> bool:
    """Whether every configured backend was checked at least once, whatever came of it."""
    known = BOARD.snapshot()
    return all(name in known and known[name].checked is not None for name in conf.backends)


def _judge(
    document: Document,
    now: float,
    *,
    draining: bool,
    exclude: Collection[str] = (),
    tags: Collection[str] = (),
) -> Verdict:
    ask = functools.partial(
        judge,
        document.including(c.unchecked for c in conf.backends.values()),
        clock=now,
        shared_failure=conf.shared_failure,
        draining=draining,
        exclude=exclude,
        tags=tags,
    )
    try:
        return ask(policy=conf.readiness)
    except Exception as e:  # noqa: BLE001 - other people's code; what it raised is logged
        FAULTS.labels("policy").inc()
        _log_failure(conf.readiness_name, e)
        return replace(ask(policy=lambda _: False), status=NOT_READY, reason=None)


def _log_failure(policy: str, error: Exception) -> None:
    """Log what is new: anybody may ask, any number of times."""
    _failures.failed(
        "the readiness policy %s failed, so not ready",
        policy,
        key=f"{policy}: {error!r}",
        cause=error,
    )
