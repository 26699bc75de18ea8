"""Root's gunicorn whose workers run as another user, and releases behind a symbolic link."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from health.core.drain_mark import DrainMark
from metrics import shared
from metrics.system.flock import FileLock
from tests.support import harness
from tests.support.harness import USER

DRAINING = {"status": "not_ready", "reason": "draining"}


PROJECT = Path(__file__).parent / "programs" / "shop_project"


def starts(port: int) -> dict[str, float]:
    """Return how many workers of each release a scrape counts."""
    lines = harness.get(port, "/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("starts_total{")]
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in found}


def make_project(folder: Path, release: str) -> None:
    """Copy a small project, with one backend that is always well, to ``folder``."""
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "release").write_text(release)


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a folder of root's that every user may enter; its name is the service's."""
    if os.geteuid():
        pytest.skip("only root can start workers of another user")
    path = Path(tempfile.mkdtemp(prefix="sentinel-test-", dir="/tmp"))
    path.chmod(0o755)
    (path / "var").mkdir()
    (path / "var").chmod(0o777)
    yield path
    shutil.rmtree(path)
    for rest in (f"/run/sentinel-0-{path.name}", f"/tmp/sentinel-{USER}-{path.name}"):
        shutil.rmtree(rest, ignore_errors=True)


def automatic(place: Path) -> dict[str, str]:
    """Return the environment of a service with the automatic run directory."""
    return {
        "SENTINEL_RUN_DIR": "auto",
        "SENTINEL_SERVICE": place.name,
        "TMPDIR": "/tmp",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def owners(directory: Path) -> set[int]:
    """Return the users to whom a directory and all in it belong."""
    return {p.lstat().st_uid for p in [directory, *directory.rglob("*")]}


@pytest.mark.parametrize("preload", [[], ["--preload"]])
def test_workers_of_another_user_and_roots_arbiter_share_one_directory(
    place: Path, preload: list[str]
) -> None:
    """It is the workers' user's; what was counted before the fork, the board and drains are in it.

    A start ends the drain of the one before, TERM begins one, and nothing is left of root's.
    """
    make_project(place / "shop", "1")
    port = harness.free_port()
    argv = [sys.executable, str(Path(sys.executable).parent / "gunicorn"), "-c", "gunicorn_conf.py"]
    argv += ["--workers", "2", "--user", str(USER), "--group", str(USER), *preload]
    argv += ["--bind", f"127.0.0.1:{port}", "shop.wsgi"]
    env = {
        **automatic(place),
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        "PYTHONPATH": str(harness.ROOT),
        "SENTINEL_DRAIN_SECONDS": "60",
    }
    theirs = Path(f"/tmp/sentinel-{USER}-{place.name}")
    theirs.mkdir(mode=0o700)
    os.chown(theirs, USER, USER)
    (theirs / "draining").touch()
    argv = [*harness.for_every_user(place), *argv]
    with harness.Program(argv, log=place / "log", env=env, cwd=place / "shop") as server:
        server.wait_ready(lambda: not harness.is_free(port), "the port")
        harness.wait_until(lambda: harness.get(port, "/ready").status == 200, "ready")
        # each worker loads the application, or the arbiter alone does before there are any
        count = 1.0 if preload else 2.0
        harness.wait_until(lambda: starts(port) == {"1": count}, "all that began")
        store = shared.Store(theirs)
        store.move(str(theirs), owner=USER)
        kinds = {w.kind for w in store.workers() if w.alive}
        assert kinds == {"gunicorn"} | ({"gunicorn arbiter"} if preload else set())
        assert owners(theirs) == {USER}
        assert not Path(f"/run/sentinel-0-{place.name}/index").exists()
        assert "ERROR" not in server.output
        server.process.send_signal(signal.SIGTERM)
        harness.wait_until(lambda: harness.get(port, "/ready").json() == DRAINING, "the drain")
        server.process.send_signal(signal.SIGTERM)
        assert server.wait_gone() == 0


@pytest.mark.parametrize("named", [False, True])
def test_serve_refuses_workers_that_cannot_use_its_directory(place: Path, named: bool) -> None:
    """Started as root with --user it says whose directory it is, and what to do instead."""
    env = automatic(place) | ({"SENTINEL_RUN_DIR": str(place / "run")} if named else {})
    run_dir = place / "run" if named else Path(f"/run/sentinel-0-{place.name}")
    argv = [sys.executable, "manage.py", "serve", "--workers", "1", "--", "--user", str(USER)]
    with harness.Server([*harness.for_every_user(place), *argv], place, env=env) as server:
        assert server.wait_gone() != 0
        last = server.output.splitlines()[-1]
        why = f"workers of user {USER} cannot share a directory with the rest of serve, the run"
        assert f"{why} directory {run_dir} belongs to user 0: start serve as that user" in last


def test_serve_takes_a_directory_of_its_workers(place: Path) -> None:
    """Workers of another user, the health server and the parent use one that is the workers'."""
    run_dir = place / "run"
    run_dir.mkdir(mode=0o700)
    os.chown(run_dir, USER, USER)
    argv = [sys.executable, "manage.py", "serve", "--workers", "1", "--", "--user", str(USER)]
    with harness.Server([*harness.for_every_user(place), *argv], place) as server:
        server.wait_serving(server.port, server.health_port)
        for port in (server.port, server.health_port):
            harness.wait_until(lambda p=port: harness.get(p, "/ready").status == 200, "ready")
        assert harness.post(server.port, "/tools/echo", 1).status == 200
        harness.wait_until(lambda: harness.requests_counted(server.health_port) == 1, "the count")
        assert "cannot" not in server.output


def test_a_deploy_by_link_and_hup_keeps_the_directory(tmp_path: Path) -> None:
    """Counts and the drain go on over the releases, for commands in either folder too."""
    app = tmp_path / "srv" / "app"
    for release in ("1", "2"):
        make_project(app / "releases" / release, release)
    current = app / "current"
    current.symlink_to("releases/1")
    (tmp_path / "tmp").mkdir()
    argv = [sys.executable, str(Path(sys.executable).parent / "gunicorn"), "--workers", "1"]
    argv += ["--chdir", str(current), "-c", "gunicorn_conf.py", "shop.wsgi"]
    env = {
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        "PYTHONPATH": str(harness.ROOT),
        "SENTINEL_RUN_DIR": "auto",
        "TMPDIR": str(tmp_path / "tmp"),
    }
    port = harness.free_port()
    argv += ["--bind", f"127.0.0.1:{port}"]
    server = harness.Program(argv, log=tmp_path / "log", env=env, cwd=current)
    before = set(runs(tmp_path))
    with server:
        server.wait_ready(lambda: not harness.is_free(port), "the port")
        harness.wait_until(lambda: starts(port) == {"1": 1.0}, "the first release")
        current.unlink()
        current.symlink_to("releases/2")
        server.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: starts(port) == {"1": 1.0, "2": 1.0}, "the second release")
        for folder in (current, app / "releases" / "2"):
            for words, status in ((["drain"], 503), (["drain", "--undo"], 200)):
                argv = [sys.executable, "manage.py", *words]
                with harness.Program(argv, log=tmp_path / "drain", env=env, cwd=folder) as drain:
                    assert drain.wait_gone() == 0
                harness.wait_until(
                    lambda s=status: harness.get(port, "/ready").status == s, f"{status}"
                )
        assert len(set(runs(tmp_path)) - before) <= 1
    for path in set(runs(tmp_path)) - before:
        shutil.rmtree(path)


def runs(tmp_path: Path) -> list[Path]:
    """Return the automatic directories of the project, wherever they are."""
    return [*Path("/run").glob("sentinel-*-shop-*"), *tmp_path.glob("tmp/sentinel-*-shop-*")]


def test_root_follows_no_link_in_a_directory_of_others(place: Path) -> None:
    """The drain mark and the locks are files of the run directory itself, or nothing."""
    run_dir, prize = place / "run", place / "prize"
    run_dir.mkdir(mode=0o700)
    os.chown(run_dir, USER, USER)
    for name in ("draining", "serve.lock"):
        (run_dir / name).symlink_to(prize)
    with pytest.raises(OSError, match="symbolic links"):
        DrainMark(run_dir).set()
    with pytest.raises(OSError, match="symbolic links"):
        FileLock(run_dir / "serve.lock").try_acquire()
    assert not prize.exists()
    with FileLock(run_dir / "prober.lock") as lock:  # and they are the directory's owner's
        info = os.stat(lock.path)
    assert (info.st_uid, stat.S_IMODE(info.st_mode)) == (USER, 0o600)
