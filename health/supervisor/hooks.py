"""What our hooks do in gunicorn's arbiter and in its workers; `health.gunicorn` describes them.

Nothing of Django is imported in the arbiter, whose memory every worker begins with:
HUP could no longer reload the settings.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from gunicorn import util

from health.core.drain_mark import DrainMark
from health.supervisor import worker_start
from metrics.system.process_kind import declare_process_kind

logger = logging.getLogger("gunicorn.error")

ARBITER_KIND = "gunicorn arbiter"
WORKER_KIND = "gunicorn"

LOOK_EVERY_SECONDS = 0.1
QUEUE_SECONDS = 10.0
"""How long TERM waits at most for connections that no worker has accepted yet."""
Hook = Callable[..., None]

_service: Service | None = None
_ready: Callable[[], None] | None = None
"""To be called when gunicorn is ready, under a supervisor that drains for it."""


@dataclass(frozen=True)
class Service:
    """What an arbiter has to know of the Django project."""

    run_dir: str
    """The workers' run directory; empty where they have none."""
    drain_seconds: float


def on_starting(server: Any) -> None:
    """Prepare the run directory, and learn what `when_ready` has to know."""
    global _service
    declare_process_kind(ARBITER_KIND)
    if _ready is not None:
        _service = Service(run_dir="", drain_seconds=0.0)
        return
    # After USR2 there is an arbiter before us, whose figures and whose drain are ours too.
    begin = "GUNICORN_PID" not in os.environ
    try:
        answer = _in_child(lambda: json.dumps(_prepare(server.cfg, begin)))
        _service = Service(**json.loads(answer))
    except (OSError, ValueError, TypeError) as e:
        logger.error("sentinel: TERM will not drain, the settings could not be read: %s", e)
        return
    if server.cfg.preload_app and server.cfg.uid != os.geteuid():
        from health.supervisor import preparation

        preparation.move_to(_service.run_dir, server.cfg.uid)


def when_ready(server: Any) -> None:
    """Make TERM mark this host as draining, wait, and only then stop."""
    global _service
    if _service is not None:
        _Stop(server, _service).install()
        _service = None  # once is enough, where a hook of the user's calls ours again
    if _ready is not None:
        _ready()


def pre_fork(server: Any, worker: Any) -> None:
    """Let no signal reach the worker before `post_fork`."""
    worker_start.hold(worker)


def post_fork(server: Any, worker: Any) -> None:
    """Say that this process is no arbiter any more, and when it is to end."""
    end_when_stopped(worker)
    declare_process_kind(WORKER_KIND)
    tie_to_arbiter(worker)


def post_worker_init(worker: Any) -> None:
    """Take the worker's lane, let it answer the health server, and tie its life again.

    A change of user undid that.
    """
    tie_to_arbiter(worker)
    announce(worker)
    show_life()
    answer_scrapes()
    keep_history()
    finish_start(worker)


def end_when_stopped(worker: Any) -> None:
    """End ``worker`` at once on TERM, INT and QUIT, until it serves.

    Its arbiter's handlers, which it has until it has its own, would lose them.
    """
    if isinstance(getattr(signal.getsignal(signal.SIGALRM), "__self__", None), _Stop):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the arbiter's alarm
    worker_start.end_when_stopped(worker)


def finish_start(worker: Any) -> None:
    """Say that ``worker`` has loaded the application."""
    worker_start.finish(worker)


def tie_to_arbiter(worker: Any) -> None:
    """End ``worker`` when its arbiter dies.

    Gunicorn's own workers look at their parent only between requests, and not while
    they load the application; they keep the port until then.
    """
    from health.supervisor.parent_death import die_with_parent

    try:
        die_with_parent(worker.ppid)
    except OSError as e:
        logger.warning("sentinel: this worker may outlive its arbiter: %s", e)


def announce(worker: Any) -> None:
    """Take this process's lane in the shared store, if there is one, and tell its capacity."""
    from metrics import shared

    if (store := shared.current()) is not None:
        store.activity.set_capacity(capacity(worker.cfg))
        store.claim()


def answer_scrapes() -> None:
    """Let the health server ask this worker, if there is a shared store, for its own figures."""
    from metrics import shared

    if shared.current() is not None:
        from metrics import scraping

        scraping.answer_scrapes()


def keep_history() -> None:
    """Let this worker keep the last hour for the admin's pages, unless another does."""
    from metrics import history

    history.keep()


def show_life() -> None:
    """Show the health server of a `serve` that this worker lives, whatever its lane does."""
    from health.application import life_signs

    if (shared := life_signs.current()) is None:
        return
    try:
        shared.live()
    except OSError as e:
        logger.warning("sentinel: only its lane shows that this worker lives: %s", e)


def capacity(cfg: Any) -> int:
    """Return how many requests a worker of this configuration takes at once."""
    name = str(cfg.worker_class_str).lower()
    if "gthread" in name:
        return int(cfg.threads)
    return 1 if "sync" in name else int(cfg.worker_connections)


def is_async(cfg: Any) -> bool:
    """Whether a configuration's worker class serves ASGI applications."""
    name = str(cfg.worker_class_str).lower()
    return "asgi" in name or "uvicorn" in name


def attach(cfg: Any, ready: Callable[[], None]) -> None:
    """Put our hooks before those that ``cfg``, gunicorn's configuration, has.

    For an arbiter under a supervisor, which prepares and drains itself: TERM then only
    waits for the connections that nobody has accepted yet. ``ready`` is called when
    the arbiter has its signal handlers and its sockets.
    """
    global _ready
    _ready = ready
    for name, ours in (
        ("on_starting", on_starting),
        ("when_ready", when_ready),
        ("pre_fork", pre_fork),
        ("post_fork", post_fork),
        ("post_worker_init", post_worker_init),
    ):
        theirs = cfg.settings[name].get()
        if theirs is not ours:
            cfg.set(name, _both(ours, theirs, arguments=2 if name.endswith("_fork") else 1))


def _both(first: Hook, second: Hook, *, arguments: int) -> Hook:
    # gunicorn counts a hook's parameters
    def one(subject: Any) -> None:
        first(subject)
        second(subject)

    def two(server: Any, worker: Any) -> None:
        first(server, worker)
        second(server, worker)

    return one if arguments == 1 else two


class _Stop:
    """What TERM does to an arbiter: mark, wait, wait for an empty queue, stop.

    It runs in signal handlers and by an alarm, since gunicorn has no hook that comes
    before its sockets are closed.
    """

    def __init__(self, arbiter: Any, service: Service) -> None:
        self._arbiter = arbiter
        self._service = service
        self._latest = 0.0
        self._stop: Any = None

    def install(self) -> None:
        """Take TERM over from gunicorn."""
        self._stop = signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGALRM, self._on_alarm)

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        if self._arbiter.pid != os.getpid():  # a child, in which nobody reads the queue
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        if self._latest:  # a second one
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._stop(signal.SIGQUIT, frame)
            return
        wait = self._service.drain_seconds
        self._latest = time.monotonic() + wait + QUEUE_SECONDS
        if self._arbiter.reexec_pid or self._arbiter.master_pid:
            # In an upgrade by USR2 the other arbiter goes on serving: nothing is to be
            # drained, and closing our copy of the sockets resets no connection.
            self._stop(number, frame)
            return
        if wait:
            logger.info("sentinel: SIGTERM: draining for %g s", wait)
            mark(self._service.run_dir)
        signal.setitimer(signal.ITIMER_REAL, max(wait, 0.001))

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if self._queued() and time.monotonic() < self._latest:
            signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY_SECONDS)
        elif self._arbiter.pid == os.getpid():
            self._stop(signal.SIGTERM, frame)

    def _queued(self) -> bool:
        """Whether connections wait that no worker has accepted; closing would reset them."""
        return any(listener.get_backlog() > 0 for listener in self._arbiter.LISTENERS)


def mark(run_dir: str) -> None:
    """Mark the host of ``run_dir`` as draining, if there is such a directory."""
    if not run_dir:
        return
    try:
        DrainMark(run_dir).set()
    except OSError as e:
        logger.error("sentinel: this host cannot be marked as draining: %s", e)


def _prepare(cfg: Any, begin: bool) -> dict[str, Any]:
    """Read the settings, and with ``begin`` start anew, as the user of the workers.

    Runs in a process of its own.
    """
    from health.supervisor import preparation

    before = os.geteuid()
    util.set_owner_process(cfg.uid, cfg.gid, initgroups=cfg.initgroups)
    service = preparation.read()
    if cfg.preload_app and cfg.uid != before:
        preparation.move_to(service["run_dir"], cfg.uid)
    if begin:
        preparation.begin()
    return service


def _in_child(work: Callable[[], str]) -> str:
    """Return what ``work`` returns, done in a child so that nothing of it stays here.

    Raises OSError when the child fails; its traceback is on stderr.
    """
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with os.fdopen(writable, "w") as pipe:
                pipe.write(work())
            status = 0
        except Exception:
            logger.exception("sentinel: the settings cannot be read")
        finally:
            os._exit(status)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        answer = pipe.read()
    with contextlib.suppress(ChildProcessError):
        _pid, status = os.waitpid(child, 0)
        if status:
            raise OSError("see the traceback above")
    return answer
