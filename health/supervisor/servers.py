"""The two gunicorns, through its application class: the application and the health server."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # it has no types
from gunicorn.app.wsgiapp import WSGIApplication  # type: ignore[import-untyped]

from health import gunicorn as hooks
from health.supervisor import addresses, masks, options, vitals
from health.supervisor.worker import HealthWorker
from metrics.rundir import ensure_private

HEALTH_THREADS = 24
"""Requests that the health server answers side by side: the 16 scrapes that a process takes
at once may all wait for a slow collector, and probes must not wait behind them."""

SCRIPT_NAME = "SCRIPT_NAME"
"""Names the prefix that the application is served under: a variable, and a header."""


class ServedApplication(WSGIApplication):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn with its own command line and configuration file, and our hooks.

    Our hooks run before those of the configuration file, which need not import them.
    ``wsgi_app`` and ``asgi_app`` are ``module:name``; the worker class chooses, unless
    the configuration names an application itself. ``health_bind`` is the health
    server's address, and ``run_dir`` the run directory that the parent of `serve` and the
    health server use, each empty where there is none.
    """

    app_uri: str

    def __init__(self, *, wsgi_app: str, asgi_app: str, health_bind: str, run_dir: str) -> None:
        self._apps = {"wsgi": wsgi_app, "asgi": asgi_app}
        self._health_bind = health_bind
        self._run_dir = run_dir
        self._first_error = _FirstError(logging.ERROR)
        super().__init__("%(prog)s [OPTIONS]", prog="serve --")

    def init(self, parser: Any, opts: Any, args: list[str]) -> dict[str, Any] | None:
        """Return our defaults; a configuration file and the command line come after."""
        super().init(parser, opts, args)
        return {"bind": options.bind(), "workers": options.workers()}

    def load_config(self) -> None:
        """Load the configuration, then put our hooks before its own."""
        try:
            self._load_config()
        except Exception as e:
            _say(str(e))
            raise
        except SystemExit as e:  # after gunicorn has printed what is wrong with a file
            if (cause := e.__context__) is not None:
                _say(f"its configuration cannot be loaded: {type(cause).__name__}: {cause}")
            raise

    def load(self) -> Any:
        """Return the application; what is wrong with it is kept for the parent's last line."""
        try:
            return super().load()
        except Exception as e:
            _say(f"the application cannot be loaded: {type(e).__name__}: {e}")
            raise

    def run(self) -> None:
        """Serve, and keep for the parent what gunicorn says before it does."""
        logging.getLogger("gunicorn.error").addHandler(self._first_error)
        super().run()

    def _ready(self) -> None:
        logging.getLogger("gunicorn.error").removeHandler(self._first_error)
        masks.let_through()

    def _load_config(self) -> None:
        self.cfg.set("wsgi_app", self._apps["wsgi"])
        super().load_config()
        if self.app_uri == self._apps["wsgi"] and hooks.is_async(self.cfg):
            self.app_uri = self._apps["asgi"]
        hooks.attach(self.cfg, self._ready)
        self._leave_common_control_socket()
        self._check()

    def _leave_common_control_socket(self) -> None:
        """Have no control socket at its default path, one for all gunicorns of a user."""
        socket = self.cfg.settings.get("control_socket")  # it came with gunicorn 25.1
        if socket is not None and socket.get() == socket.default:
            self.cfg.set("control_socket_disable", True)

    def _check(self) -> None:
        _ = self.cfg.worker_class  # imports it
        if self.cfg.daemon:
            raise RuntimeError("serve cannot watch a gunicorn that goes into the background")
        for name in ("workers", "threads"):
            if (number := getattr(self.cfg, name)) < 1:
                raise RuntimeError(f"{name} must be 1 or more, not {number}")
        if self._run_dir and self.cfg.uid != os.geteuid():
            _check_usable_by(self.cfg.uid, Path(self._run_dir))
        mine = self.cfg.address
        if self._health_bind and addresses.overlap(self._health_bind, mine):
            raise RuntimeError(
                f"the application and the health server cannot both listen on {self._health_bind}"
            )


def _check_usable_by(user: int, run_dir: Path) -> None:
    """Raise RuntimeError unless workers that run as ``user`` can use root's run directory."""
    try:
        owner = ensure_private(run_dir, strict=False).stat().st_uid
        why = "" if owner == user else f"the run directory {run_dir} belongs to user {owner}"
    except OSError as e:
        why = str(e)
    if why:
        raise RuntimeError(
            f"workers of user {user} cannot share a directory with the rest of serve, {why}: start"
            " serve as that user, rather than as root with --user, or give SENTINEL_RUN_DIR a"
            " directory of that user's whose parent only root can write to"
        )


class _FirstError(logging.Handler):
    """Keeps the first error of a start: those after it only say what follows from it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Leave it as the last words, if there are none."""
        if (mine := vitals.current()) is not None and not mine.words():
            mine.say(record.getMessage())


def _say(words: str) -> None:
    if (mine := vitals.current()) is not None:
        mine.say(words.partition("\n")[0].rstrip(": "))


class HealthServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """A gunicorn of one small worker that serves the health endpoints and runs the prober."""

    def __init__(self, *, bind: str, load: Callable[[], Any], prober: Callable[[], None]) -> None:
        self._bind, self._load, self._prober = bind, load, prober
        self._prefix = ""
        super().__init__()

    def load_config(self) -> None:
        """Set what a health server is; nothing of it is configurable but the address."""
        configuration: dict[str, Any] = {
            "bind": self._bind,
            "workers": 1,
            "worker_class": HealthWorker,
            "threads": HEALTH_THREADS,
            "graceful_timeout": 2,
            "proc_name": "health_server",
            "control_socket_disable": True,
            "when_ready": lambda arbiter: masks.let_through(),
            "pre_fork": hooks.pre_fork,
            "post_fork": self._post_fork,
            "post_worker_init": self._post_worker_init,
            "pre_request": self._pre_request,
            # no request is large or slow to send
            "limit_request_line": 2048,
            "limit_request_fields": 50,
        }
        for name, value in configuration.items():
            if name in self.cfg.settings:  # control_socket_disable came with gunicorn 25.1
                self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the WSGI application."""
        return self._load()

    def _post_fork(self, arbiter: Any, worker: Any) -> None:
        hooks.end_when_stopped(worker)
        hooks.tie_to_arbiter(worker)

    def _post_worker_init(self, worker: Any) -> None:
        hooks.tie_to_arbiter(worker)
        hooks.announce(worker)  # so that it can tell whether the store works
        # Gunicorn answers 500 to a path without it; the project's settings have seen it by now.
        self._prefix = os.environ.pop(SCRIPT_NAME, "")
        self._prober()
        hooks.finish_start(worker)

    def _pre_request(self, worker: Any, request: Any) -> None:
        """Take the application's prefix off a path that has it, so that both are answered.

        The prefix is SCRIPT_NAME, of the environment or of a header that a trusted proxy
        sends. Gunicorn would answer 500 to a path without it.
        """
        prefix = self._prefix
        others = []
        for name, value in request.headers:
            if name == SCRIPT_NAME:
                prefix = value
            else:
                others.append((name, value))
        request.headers = others
        head = prefix.rstrip("/") + "/"
        if request.path.startswith(head) and request.path != head:
            request.path = request.path[len(head) - 1 :]
