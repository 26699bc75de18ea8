"""What `serve` and `health_server` refuse to start with, and how they say so."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.support import harness

ENDED = "CommandError: the application ended with exit status"
DRAINING = {"status": "not_ready", "reason": "draining"}


def last_line(output: str) -> str:
    """Return the last line that a program printed."""
    return output.rstrip().rpartition("\n")[2]


def refused(tmp_path: Path, *words: str, command: str = "serve") -> tuple[int, str]:
    """Return exit status and last line of a command that does not come to serve."""
    health = [] if "--health-bind" in words or command != "serve" else ["--no-health"]
    done = harness.manage(tmp_path, command, *health, *words)
    return done.returncode, last_line(done.stderr.decode())


@pytest.mark.parametrize("option", ["--workers", "--threads"])
@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5", "²"])
def test_a_wrong_number_is_said(option: str, number: str) -> None:
    """A number of workers or threads that cannot be is refused before anything starts."""
    with pytest.raises(CommandError) as error:
        call_command("serve", f"{option}={number}")
    assert str(error.value) == (
        f"Error: argument {option}: must be a whole number above 0, not {number!r}"
    )


def test_a_wrong_number_in_the_environment_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the variable that is to be mended."""
    monkeypatch.setenv("SENTINEL_WORKERS", "many")
    assert refused(tmp_path) == (
        1,
        "CommandError: SENTINEL_WORKERS must be a whole number above 0, not 'many'",
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--", "--workers", "0"], "workers must be 1 or more, not 0"),
        (["--", "--threads", "0"], "threads must be 1 or more, not 0"),
        (["--", "--daemon"], "serve cannot watch a gunicorn that goes into the background"),
        (["--", "--worker-class", "nonesuch"], "class uri 'nonesuch' invalid or not found"),
        (["--config", "no_such.py"], "'no_such.py' doesn't exist"),
    ],
)
def test_what_gunicorn_refuses_is_the_last_line(tmp_path: Path, words: list[str], why: str) -> None:
    """A configuration that cannot be ends all of it, and the reason comes last."""
    assert refused(tmp_path, *words) == (1, f"{ENDED} 1: {why}")


def test_an_address_of_the_application_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """Before anything starts; gunicorn alone would try it for seconds."""
    why = "the application cannot listen on localhost:http: 'http' is not a valid port number."
    assert refused(tmp_path, "--bind", "localhost:http") == (1, f"CommandError: --bind: {why}")


def test_a_word_that_gunicorn_does_not_know_is_refused(tmp_path: Path) -> None:
    """Before anything starts, with gunicorn's own message."""
    assert refused(tmp_path, "--", "--no-such-option") == (
        2,
        "serve --: error: unrecognized arguments: --no-such-option",
    )


@pytest.mark.parametrize(
    ("command", "option"), [("serve", "--health-bind"), ("health_server", "--bind")]
)
def test_an_address_that_cannot_be_is_refused(tmp_path: Path, command: str, option: str) -> None:
    """A health server that could never listen is no reason to start the application."""
    assert refused(tmp_path, option, "fd://99", command=command) == (
        1,
        "CommandError: the health server cannot listen on fd://99: Bad file descriptor",
    )


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    """The health server's before anything starts, the application's when gunicorn gives up."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        why = f"the health server cannot listen on {address}: Address already in use"
        assert refused(tmp_path, "--health-bind", address) == (1, f"CommandError: {why}")
        port = taken.getsockname()[1]
        free = f"127.0.0.1:{harness.free_port()}"
        why = f"Connection in use: ('127.0.0.1', {port})"
        assert refused(tmp_path, "--bind", address, "--health-bind", free) == (
            1,
            f"{ENDED} 1: {why}",
        )


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_one_port_for_both_is_refused(tmp_path: Path, host: str) -> None:
    """Wherever the application's address comes from."""
    port = harness.free_port()
    file = tmp_path / "mine.py"
    file.write_text(f"bind = '{host}:{port}'\n")
    words = ["--config", str(file), "--health-bind", f"127.0.0.1:{port}"]
    why = f"the application and the health server cannot both listen on 127.0.0.1:{port}"
    assert refused(tmp_path, *words) == (1, f"{ENDED} 1: {why}")


def test_an_application_that_cannot_be_loaded_ends_it(tmp_path: Path) -> None:
    """Health server and all; the last line says why, whatever was said in between."""
    file = tmp_path / "broken.py"
    file.write_text("wsgi_app = 'no_such_module:application'\n")
    server = harness.Server([sys.executable, "manage.py", "serve", "--config", str(file)], tmp_path)
    # gunicorn means to say 3, and stumbles over its second worker that fails: then it is 1
    status = server.wait_gone()
    assert status in (1, 3)
    assert last_line(server.output) == (
        f"CommandError: the application ended with exit status {status}: the application cannot"
        " be loaded: ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert harness.is_free(server.health_port)


def test_a_configuration_file_with_a_fault_ends_it(tmp_path: Path) -> None:
    """The last line names the error."""
    file = tmp_path / "broken.py"
    file.write_text("workers = 1 / 0\n")
    why = "its configuration cannot be loaded: ZeroDivisionError: division by zero"
    assert refused(tmp_path, "--config", str(file)) == (1, f"{ENDED} 1: {why}")


def test_a_second_serve_is_refused_and_leaves_the_first_alone(tmp_path: Path) -> None:
    """What the first one lives by, its drain and its board, is not cleared."""
    with harness.serve(tmp_path) as server:
        started = harness.get(server.health_port, "/started")
        harness.wait_until(
            lambda: harness.get(server.health_port, "/started").status == 200, f"{started.text}"
        )
        assert harness.manage(tmp_path, "drain").returncode == 0
        words = ["--bind", f"127.0.0.1:{harness.free_port()}"]
        why = f"{server.run_dir} belongs to another serve (process {server.pid}): stop that one"
        advice = "first, or give each service a SENTINEL_RUN_DIR of its own"
        assert refused(tmp_path, *words) == (1, f"CommandError: {why} {advice}")
        for port in (server.port, server.health_port):
            assert harness.get(port, "/ready").json() == DRAINING
        assert harness.get(server.health_port, "/started").status == 200
        server.process.send_signal(signal.SIGKILL)
        server.wait_gone()
    # the kernel frees what a killed one held, and a new one starts without its drain
    with harness.serve(tmp_path) as server:
        harness.wait_until(lambda: harness.get(server.port, "/ready").status == 200, "readiness")


def test_a_second_gunicorn_leaves_the_first_alone(tmp_path: Path) -> None:
    """One that somebody starts by hand is let go on, clears nothing, and says so."""
    with harness.gunicorn(tmp_path) as first:
        assert harness.manage(tmp_path, "drain").returncode == 0
        (tmp_path / "second").mkdir()
        env = {"SENTINEL_RUN_DIR": str(first.run_dir)}
        with harness.gunicorn(tmp_path / "second", env=env) as second:
            assert f"{first.run_dir} is used by another server (process" in second.output
            for server in (first, second):
                assert harness.get(server.port, "/ready").json() == DRAINING


def test_gunicorns_control_socket_is_not_left_at_its_common_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a configuration file there is none, unless a path of its own is given."""
    from gunicorn.config import Config

    if "control_socket" not in Config().settings:
        pytest.skip("this gunicorn has no control socket")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    empty = tmp_path / "empty.py"
    empty.write_text("")
    with harness.serve(tmp_path, "--no-health", "--config", str(empty), health=False):
        assert list(home.iterdir()) == []
    mine = tmp_path / "mine.ctl"
    words = ["--no-health", "--config", str(empty), "--", "--control-socket", str(mine)]
    with harness.serve(tmp_path, *words, health=False):
        harness.wait_until(mine.exists, "the control socket")
