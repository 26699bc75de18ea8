"""The real thing for tests: gunicorn and Prometheus as processes, on free ports.

Whatever is started here is a session of its own, so that `Program.stop` can tell
which processes belong to it, wherever they were reparented to.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import gunicorn as gunicorn_package
import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_SECONDS = 30.0
"""How long a machine that is busy with other things may take for what is quick."""

USER = 12345
"""A user that no password file knows, as OpenShift gives each project."""

ASGI_IS_FAULTY = "its asgi worker leaves requests unanswered, and does not always stop"
"""Why such a worker is tried with gunicorn 27 and later alone, as docs/running.md says."""

_PORTS = range(20_000, 32_000)
"""Below what Linux and macOS give to clients, and to whoever asks for any port."""
_reservations: list[socket.socket] = []


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that no other process is given while this one lives.

    Linux lets a server listen on a port that another socket has only bound; elsewhere
    the port is free just now, and that is all.
    """
    while True:
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        reservation = socket.socket()
        try:
            reservation.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        if sys.platform == "linux":
            # Only now: two sockets that were bound with it could have the same port.
            reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _reservations.append(reservation)
        else:
            reservation.close()
        return port


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    """Yield a socket that listens on a port of 127.0.0.1, for a program to inherit.

    Unlike a `free_port` nobody else can take it before the program does.
    """
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        yield s


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of 127.0.0.1 now."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            s.listen()
        except OSError:
            return False
        return True


def wait_until(condition: Callable[..., Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Return the first true value of ``condition``; fail, naming ``what``, if there is none."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.02)


def fill_disk(place: Path) -> Path:
    """Take all the space that is left on a disk; return the file that does."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def require_program(name: str, package: str) -> str:
    """Return the path of a program, or skip; with SENTINEL_REQUIRE_ALL=1 fail instead."""
    if path := shutil.which(name):
        return path
    reason = f"{name} is missing: apt-get install {package}"
    if os.environ.get("SENTINEL_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True)
class Answer:
    """What a server answered; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


class Client:
    """A client of one thread, which keeps its connection; a closed one is opened again.

    Raises OSError or http.client.HTTPException when a request had no answer.
    """

    def __init__(self, port: int, *, timeout: float = PATIENCE_SECONDS) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; a ``body`` that is not bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self._connection.request(method, path, data, dict(headers or {}))
            response = self._connection.getresponse()
            content = response.read()
        except BaseException:
            self._connection.close()
            raise
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, dict(headers), content)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET ``path``."""
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any) -> Answer:
        """POST ``body`` to ``path``."""
        return self.request("POST", path, body)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def get(port: int, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """GET over a connection of its own."""
    with Client(port) as client:
        return client.get(path, headers)


def post(port: int, path: str, body: Any) -> Answer:
    """POST over a connection of its own."""
    with Client(port) as client:
        return client.post(path, body)


class Program:
    """A program and all the processes that come of it; what it prints goes to ``log``.

    As a context manager it is stopped at the end, and nothing of it may be left.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=pass_fds,
            )

    @property
    def pid(self) -> int:
        """The process id, which is the session's id too."""
        return self.process.pid

    @property
    def output(self) -> str:
        """All that it printed so far."""
        return self.log.read_text(errors="replace")

    def members(self) -> list[psutil.Process]:
        """Return every live process of the session, orphans included."""
        members = []
        for pid in psutil.pids():
            with contextlib.suppress(psutil.Error, OSError):
                if os.getsid(pid) == self.pid:
                    process = psutil.Process(pid)
                    if process.status() != psutil.STATUS_ZOMBIE:
                        members.append(process)
        return members

    def wait_ready(self, condition: Callable[..., Any], what: str) -> None:
        """Wait until ``condition`` holds; fail with the log when the program ends before."""

        def ready() -> Any:
            if self.process.poll() is not None:
                pytest.fail(f"exit status {self.process.returncode}, log:\n{self.output}")
            return condition()

        wait_until(ready, f"{what}; log:\n{self.output}")

    def stop(self, sig: int = signal.SIGTERM, seconds: float = PATIENCE_SECONDS) -> int:
        """Send ``sig``, wait for the end of every process, and return the exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(sig)
        return self.wait_gone(seconds)

    def wait_gone(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the end of every process of the session, and return the exit status."""
        try:
            status = self.process.wait(seconds)
            wait_until(lambda: not self.members(), "processes were left", seconds)
        finally:
            self.kill()
        return status

    def kill(self) -> None:
        """SIGKILL whatever is left."""
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            print(self.output)  # pytest shows it with the failure
            self.kill()
        else:
            self.stop()


@dataclass(frozen=True)
class Family:
    """The processes of a `serve`."""

    parent: psutil.Process
    arbiter: list[psutil.Process]
    workers: list[psutil.Process]
    health_arbiter: list[psutil.Process]
    health_workers: list[psutil.Process]


class Server(Program):
    """A server of the sample project, with its ports and its run directory."""

    def __init__(
        self,
        argv: Sequence[str],
        tmp_path: Path,
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        if "asgi" in argv and gunicorn_package.version_info < (27,):
            pytest.skip(f"gunicorn {gunicorn_package.__version__}: {ASGI_IS_FAULTY}")
        self.port = free_port()
        self.health_port = free_port()
        self.run_dir = tmp_path / "run"
        self.env = project_env(tmp_path) | {
            "SENTINEL_BIND": f"127.0.0.1:{self.port}",
            "SENTINEL_HEALTH_BIND": f"127.0.0.1:{self.health_port}",
            **(env or {}),
        }
        super().__init__(argv, log=tmp_path / "server.log", env=self.env, pass_fds=pass_fds)

    def family(self) -> Family:
        """Return the processes of a `serve`, told apart by their command lines."""
        arbiters: dict[str, list[psutil.Process]] = {"application": [], "health": []}
        workers: dict[str, list[psutil.Process]] = {"application": [], "health": []}
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                for role, module in (
                    ("application", "health.supervisor"),
                    ("health", "health.server"),
                ):
                    if module in words:
                        group = arbiters if process.ppid() == self.pid else workers
                        group[role].append(process)
        return Family(
            parent=psutil.Process(self.pid),
            arbiter=arbiters["application"],
            workers=workers["application"],
            health_arbiter=arbiters["health"],
            health_workers=workers["health"],
        )

    def wait_serving(self, *ports: int) -> Self:
        """Wait until every one of ``ports`` (the application's) answers requests."""
        for port in ports or (self.port,):
            self.wait_ready(lambda port=port: _serves(port), f"port {port}")
        return self


def for_every_user(place: Path) -> list[str]:
    """Return what to put before a command so that every user may run Python and the project.

    An interpreter in root's home may be closed to others. Then the command runs in a mount
    namespace of its own, in which the folders above it are open; ``place`` is a folder for
    that. Skips where this cannot be done.
    """
    needed = {os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, ROOT)}
    closed: dict[str, set[str]] = {}
    for path in needed:
        for above in reversed(Path(path).parents):
            if not above.stat().st_mode & 0o001:
                closed.setdefault(str(above), set()).add(path)
                break
    if not closed:
        return []
    unshare = require_program("unshare", "util-linux")
    if subprocess.run([unshare, "--mount", "true"], check=False).returncode:
        pytest.skip("other users cannot run this Python, and there is no mount namespace")
    script = ["set -e"]
    for folder, paths in closed.items():
        kept = {name: place / f"kept-{len(list(place.glob('kept-*')))}" for name in sorted(paths)}
        for inside, keep in kept.items():
            keep.mkdir()
            script.append(f"mount --bind '{inside}' '{keep}'")
        script.append(f"mount -t tmpfs -o mode=755 none '{folder}'")
        for inside, keep in kept.items():
            script.append(f"mkdir -p '{inside}'; mount --bind '{keep}' '{inside}'")
    return [unshare, "--mount", "sh", "-c", "\n".join([*script, 'exec "$@"']), "sh"]


def as_user(place: Path, user: int, *, group: int | None = None, groups: str = "") -> list[str]:
    """Return what to put before a command for root to run it as ``user``."""
    setpriv = require_program("setpriv", "util-linux")
    more = f"--groups={groups}" if groups else "--clear-groups"
    who = [f"--reuid={user}", f"--regid={user if group is None else group}", more]
    return [*for_every_user(place), setpriv, *who]


def project_env(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a sample project that keeps everything in ``tmp_path``."""
    (tmp_path / "var").mkdir(exist_ok=True)
    return {
        "DJANGO_SETTINGS_MODULE": "sentinel_project.settings",
        "SENTINEL_RUN_DIR": str(tmp_path / "run"),
        "SENTINEL_VAR_DIR": str(tmp_path / "var"),
        "SENTINEL_SECRET_KEY": "a key for tests only",
        "SENTINEL_DEMO": "1",
        "SENTINEL_DRAIN_SECONDS": "0",
    }


def manage(
    tmp_path: Path, *words: str, timeout: float = 60, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run ``manage.py`` in the sample project of ``tmp_path``, to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={**os.environ, **project_env(tmp_path), **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def sentinel_health(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the console script's module, with the run directory from the environment."""
    return subprocess.run(
        [sys.executable, "-m", "health.cli", *words],
        cwd=ROOT,
        env={**os.environ, "SENTINEL_RUN_DIR": str(tmp_path / "run")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def call(
    tmp_path: Path, program: Callable[..., Any], *arguments: Any, bare: bool = False
) -> subprocess.CompletedProcess[str]:
    """Call a function of a program with the environment of `project_env`; see `tests.support.call`.

    The arguments go there as JSON, and what it returns is printed so, in the last line.
    """
    return _run_python(tmp_path, *calling(program, *arguments, bare=bare))


def calling(program: Callable[..., Any], *arguments: Any, bare: bool = False) -> list[str]:
    """Return what Python is given to call a function of a program."""
    module, name = program.__module__, program.__name__
    words = ["-m", "tests.support.call", *(["--bare"] if bare else []), module, name]
    return [*words, *map(json.dumps, arguments)]


def run_python(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run some lines with the environment of `project_env`, to their end."""
    return _run_python(tmp_path, "-c", code)


def _run_python(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, **project_env(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextlib.contextmanager
def gunicorn(
    tmp_path: Path,
    *,
    workers: int = 2,
    worker_class: str = "sync",
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run gunicorn with the project's gunicorn.conf.py; ``options`` are gunicorn's own.

    ``worker_class`` is sync, gthread, gevent or asgi (which serves the ASGI application).
    """
    module = "asgi" if worker_class == "asgi" else "wsgi"
    argv = [sys.executable, _script("gunicorn"), "-c", "gunicorn.conf.py"]
    argv += ["--workers", str(workers), "--worker-class", worker_class, *options]
    with Server([*argv, f"sentinel_project.{module}:application"], tmp_path, env=env) as server:
        yield server.wait_serving()


@contextlib.contextmanager
def uvicorn(tmp_path: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run uvicorn with the sample project, and yield its port; ``options`` are its own."""
    with listening() as sock:
        fd = sock.fileno()
        argv = [sys.executable, "-m", "uvicorn", "--fd", str(fd), *options]
        argv += ["sentinel_project.asgi:application"]
        env, log = project_env(tmp_path) | dict(env or {}), tmp_path / "uvicorn.log"
        with Program(argv, log=log, env=env, pass_fds=[fd]):
            yield int(sock.getsockname()[1])


@contextlib.contextmanager
def serve(
    tmp_path: Path,
    *options: str,
    workers: int = 2,
    env: Mapping[str, str] | None = None,
    health: bool = True,
) -> Iterator[Server]:
    """Run ``manage.py serve``; ``options`` are its own, and after ``--`` gunicorn's."""
    argv = [sys.executable, "manage.py", "serve", "--workers", str(workers), *options]
    with Server(argv, tmp_path, env=env) as server:
        ports = [server.port, server.health_port] if health else [server.port]
        yield server.wait_serving(*ports)


@contextlib.contextmanager
def prometheus(tmp_path: Path, port: int, *, interval: str = "200ms") -> Iterator[Prometheus]:
    """Run a real Prometheus that scrapes /metrics of ``port``; skip where it is missing."""
    program = require_program("prometheus", "prometheus")
    config = tmp_path / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\n"
        f"scrape_configs: [{{job_name: sentinel, static_configs: [{{targets: "
        f"['127.0.0.1:{port}']}}]}}]\n"
    )
    with Prometheus(program, config, tmp_path) as running:
        running.wait_ready(running.is_ready, "Prometheus")
        yield running


class Prometheus(Program):
    """A Prometheus server, and its query API."""

    def __init__(self, program: str, config: Path, tmp_path: Path) -> None:
        self.port = free_port()
        argv = [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        super().__init__(argv, log=tmp_path / "prometheus.log", cwd=tmp_path)

    def is_ready(self) -> bool:
        """Whether it serves queries."""
        try:
            return get(self.port, "/-/ready").status == 200
        except OSError:
            return False

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series of an instant query."""
        from urllib.parse import quote

        answer = get(self.port, f"/api/v1/query?query={quote(expression)}")
        assert answer.status == 200, answer.text
        result = answer.json()["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def targets(self) -> list[dict[str, Any]]:
        """Return the active targets as its API shows them."""
        targets: list[dict[str, Any]] = get(self.port, "/api/v1/targets").json()["data"][
            "activeTargets"
        ]
        return targets


def _serves(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException), Client(port) as client:
        return client.get("/health").status > 0
    return False


def _script(name: str) -> str:
    return str(Path(sys.executable).parent / name)


class Load:
    """Clients that call a tool one request after another, each over a new connection.

    So does a balancer without keep-alive: what fails is the server's fault, never a
    race for a connection that was about to be closed.
    """

    def __init__(self, port: int, tool: str = "echo", body: Any = 1, *, clients: int = 4) -> None:
        self.succeeded = 0
        self.failures: list[str] = []
        self._call: Callable[[], Answer] = lambda: post(port, f"/tools/{tool}", body)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._call()
            except (OSError, http.client.HTTPException) as e:
                with self._lock:
                    self.failures.append(repr(e))
            else:
                with self._lock:
                    if answer.status == 200:
                        self.succeeded += 1
                    else:
                        self.failures.append(f"{answer.status} {answer.text}")

    def finish(self) -> int:
        """Let every request in flight end, and return how many succeeded."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive(), "a request had no end"
        return self.succeeded

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.finish()


def requests_counted(port: int, tool: str = "echo") -> float:
    """Return how many successful calls of ``tool`` a scrape of ``port`` shows."""
    text = get(port, "/metrics").text
    line = f'sentinel_requests_total{{tool="{tool}",status="success"}} '
    other = f'sentinel_requests_total{{status="success",tool="{tool}"}} '
    for row in text.splitlines():
        if row.startswith((line, other)):
            return float(row.rpartition(" ")[2])
    return 0.0


def conditions(port: int) -> dict[str, int]:
    """Return how many workers are in which condition, as the health server on ``port`` says."""
    workers = get(port, "/health?verbose").json()["workers"]
    return {condition: number for condition, number in workers.items() if number}


def details(server: Server) -> dict[str, Any]:
    """Return what /health?verbose of the health server says."""
    body: dict[str, Any] = get(server.health_port, "/health?verbose").json()
    return body


def blocked(port: int, seconds: float) -> threading.Thread:
    """Send a request that keeps a worker busy, and let it be."""

    def call() -> None:
        with contextlib.suppress(Exception):
            post(port, "/tools/sleep", {"seconds": seconds})

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread
