"""The gunicorn of the application under `serve`, with our hooks before those of its file."""

from __future__ import annotations

import logging
import os
from typing import Any

from gunicorn.app.wsgiapp import WSGIApplication

from health.application import life_signs
from health.supervisor import addresses, environment, hooks, signal_masks
from metrics.system.run_dir import RunDir

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
        return {"bind": environment.bind(), "workers": environment.workers()}

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
        signal_masks.let_through()

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
            _check_usable_by(self.cfg.uid, RunDir(self._run_dir))
        mine = self.cfg.address
        if self._health_bind and addresses.overlap(self._health_bind, mine):
            raise RuntimeError(
                f"the application and the health server cannot both listen on {self._health_bind}"
            )


def _check_usable_by(user: int, run_dir: RunDir) -> None:
    """Raise RuntimeError unless workers that run as ``user`` can use root's run directory."""
    try:
        owner = run_dir.ensure().stat().st_uid
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
        if (mine := life_signs.current()) is not None and not mine.words():
            mine.say(record.getMessage())


def _say(words: str) -> None:
    if (mine := life_signs.current()) is not None:
        mine.say(words.partition("\n")[0].rstrip(": "))
