"""The two gunicorns, through its application class: the application and the health server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # it has no types
from gunicorn.app.wsgiapp import WSGIApplication  # type: ignore[import-untyped]

from health import gunicorn as hooks
from health.supervisor import options

HEALTH_THREADS = 4
"""Probes and scrapes that the health server answers side by side."""


class ServedApplication(WSGIApplication):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn with its own command line and configuration file, and our hooks.

    Our hooks run before those of the configuration file, which need not import them.
    ``wsgi_app`` and ``asgi_app`` are ``module:name``; the worker class chooses, unless
    the configuration names an application itself.
    """

    app_uri: str

    def __init__(self, *, wsgi_app: str, asgi_app: str) -> None:
        self._apps = {"wsgi": wsgi_app, "asgi": asgi_app}
        super().__init__("%(prog)s [OPTIONS]", prog="serve --")

    def init(self, parser: Any, opts: Any, args: list[str]) -> dict[str, Any] | None:
        """Return our defaults; a configuration file and the command line come after."""
        super().init(parser, opts, args)
        return {"bind": options.bind(), "workers": options.workers()}

    def load_config(self) -> None:
        """Load the configuration, then put our hooks before its own."""
        self.cfg.set("wsgi_app", self._apps["wsgi"])
        super().load_config()
        if self.app_uri == self._apps["wsgi"] and hooks.is_async(self.cfg):
            self.app_uri = self._apps["asgi"]
        hooks.attach(self.cfg)
        if self.cfg.daemon:
            raise RuntimeError("serve cannot watch a gunicorn that goes into the background")


class HealthServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """A gunicorn of one small worker that serves the health endpoints and runs the prober."""

    def __init__(self, *, bind: str, load: Callable[[], Any], prober: Callable[[], None]) -> None:
        self._bind, self._load, self._prober = bind, load, prober
        super().__init__()

    def load_config(self) -> None:
        """Set what a health server is; nothing of it is configurable but the address."""
        configuration: dict[str, Any] = {
            "bind": self._bind,
            "workers": 1,
            "worker_class": "gthread",
            "threads": HEALTH_THREADS,
            "graceful_timeout": 2,
            "proc_name": "health_server",
            "control_socket_disable": True,
            "post_worker_init": self._post_worker_init,
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

    def _post_worker_init(self, worker: Any) -> None:
        hooks.tie_to_arbiter(worker)
        self._prober()
