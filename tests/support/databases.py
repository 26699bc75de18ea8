"""Databases beside the default one, for tests and benchmarks: any by its settings, a PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import psutil
from django.db import connections

from tests.support.harness import free_port, require_program, wait_until


@contextlib.contextmanager
def other_database(settings: dict[str, Any]) -> Iterator[None]:
    """Configure a second database, ``other``; this thread's connection to it ends with it."""
    before = connections.settings.get("other")
    theirs = _taken_out()
    both = connections.configure_settings({"default": {}, "other": settings})
    connections.settings["other"] = both["other"]
    try:
        yield
    finally:
        if (ours := _taken_out()) is not None:
            ours.close()
        del connections.settings["other"]
        if before is not None:
            connections.settings["other"] = before
        if theirs is not None:
            connections["other"] = theirs


def _taken_out() -> Any:
    """Take this thread's connection to ``other`` out of Django's hands, if there is one."""
    for connection in connections.all(initialized_only=True):
        if connection.alias == "other":
            del connections["other"]
            return connection
    return None


def find_postgres() -> str | None:
    """Return the newest ``postgres`` of the machine; Debian has it in no PATH."""
    found = shutil.which("postgres")
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return found or max(map(str, debian), default=None)


class Postgres:
    """A PostgreSQL of its own on 127.0.0.1, with a password, that can be stopped and started.

    As a context manager it is started, and in the end nothing of it is left.
    """

    password = "pa55word"
    login: ClassVar[dict[str, Any]] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "sentinel",
        "PASSWORD": password,
    }

    def __init__(self) -> None:
        program = find_postgres()
        self._bin = Path(program or require_program("postgres", "postgresql")).parent
        # It refuses to run as root, and whom it then runs as may not enter root's folders.
        root = os.geteuid() == 0
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp" if root else None))
        self._account: dict[str, Any] = {}
        if root:
            nobody = pwd.getpwnam("nobody")
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            self._account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._create()
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    @property
    def settings(self) -> dict[str, Any]:
        """What DATABASES says of it."""
        return {**self.login, "HOST": "127.0.0.1", "PORT": self.port}

    def start(self) -> None:
        """Start it unless it runs, and wait until it takes connections."""
        if self._process is not None:
            return
        argv = ["postgres", "-D", str(self._folder / "data"), "-p", str(self.port)]
        for option in ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"):
            argv += ["-c", option]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._bin / argv[0]), *argv[1:]],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # else Ctrl-C ends it before the tests' own end
                **self._account,
            )
        wait_until(self._accepts, "PostgreSQL")

    def stop(self, sig: int = signal.SIGINT) -> None:
        """End it: by SIGINT in order, with its clients' connections cut."""
        if self._process is not None:
            self._process.send_signal(sig)
            self._process.wait(30)
            self._process = None

    def send(self, sig: int) -> None:
        """Send ``sig`` to the server and to the process of each of its clients."""
        if self._process is not None:
            server = psutil.Process(self._process.pid)
            for process in (server, *server.children()):
                with contextlib.suppress(psutil.NoSuchProcess):  # a client's, that left meanwhile
                    process.send_signal(sig)

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return "ready to accept connections" in (self._folder / "log").read_text()
        return False

    def _create(self) -> None:
        secret = self._folder / "password"
        secret.write_text(self.password)
        argv = [str(self._bin / "initdb"), "-D", str(self._folder / "data"), "-U", "sentinel"]
        argv += ["--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "--no-locale"]
        argv += ["--encoding=UTF8"]
        done = subprocess.run(
            argv, cwd=self._folder, capture_output=True, check=False, timeout=120, **self._account
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)


def sqlite(path: Path) -> dict[str, Any]:
    """Return the settings of a database that is a file."""
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
