"""The run directory of real users: on volumes, and without a place for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from metrics.system import run_dir
from tests.end_to_end.programs import run_dirs
from tests.support import harness
from tests.support.harness import USER


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a folder of root's that every user may enter."""
    if os.geteuid():
        pytest.skip("only root can give directories to other users")
    path = Path(tempfile.mkdtemp(prefix="sentinel-test-", dir="/tmp"))
    path.chmod(0o755)
    (path / "var").mkdir()
    (path / "var").chmod(0o777)
    yield path
    shutil.rmtree(path)


def env_of(place: Path, **more: str) -> dict[str, str]:
    """Return a whole environment for the sample project, without HOME."""
    env = {
        **harness.project_env(place),
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }
    return {name: value for name, value in env.items() if value != "-"}


def found_by(
    user: int, env: Mapping[str, str], *, group: int | None = None, groups: Sequence[int] = ()
) -> Any:
    """Return what the application and ``sentinel-health`` find as ``user``, and whether it works.

    A list: the directory of the settings, that of the console script, what hinders a
    board, and how many processes have a lane.
    """
    who = harness.as_user(
        Path(env["SENTINEL_VAR_DIR"]).parent,
        user,
        group=group,
        groups=",".join(map(str, groups)),
    )
    done = subprocess.run(
        [*who, sys.executable, *harness.calling(run_dirs.find, bare=True)],
        cwd=harness.ROOT,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("owner", "mode", "group", "groups"),
    [
        ((0, USER), 0o2777, USER, []),  # an emptyDir, with fsGroup
        ((0, USER), 0o2775, 0, [USER]),  # another volume, with fsGroup
        ((0, 0), 0o777, USER, []),  # an emptyDir, without
        ((0, 0), 0o1777, USER, []),  # docker --tmpfs
        ((1001, 0), 0o775, 0, []),  # an image's, for any user of root's group
        ((USER, USER), 0o777, USER, []),  # ours, for everybody
    ],
)
def test_a_volume_holds_a_private_folder(
    place: Path, owner: tuple[int, int], mode: int, group: int, groups: list[int]
) -> None:
    """Where others may write too the run directory is a folder of ours, for every user's eyes."""
    volume = place / "volume"
    volume.mkdir()
    os.chown(volume, *owner)
    volume.chmod(mode)
    env = env_of(place, SENTINEL_RUN_DIR=str(volume))
    private = str(volume / "sentinel-private")
    assert found_by(USER, env, group=group, groups=groups) == [private, private, "", 1]
    info = os.stat(private)
    assert (info.st_uid, info.st_mode & 0o777) == (USER, 0o700)
    assert sorted(os.listdir(volume)) == ["sentinel-private"]
    # another user, and root, look at the same place, and are told why they may not write there
    for other in (0, 54321):
        found, by_script, error, _ = found_by(other, env, groups=[0])
        assert (found, by_script) == (private, private)
        if other or mode & 0o002:
            assert error == f"the run directory {private} belongs to user {USER}, not to {other}"


def test_a_real_tmpfs_holds_a_private_folder(place: Path) -> None:
    """A file system in memory that is mounted for everybody works as a directory does."""
    volume = place / "volume"
    volume.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "mode=1777,size=8m", "none", str(volume)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets us mount nothing")
    try:
        private = str(volume / "sentinel-private")
        env = env_of(place, SENTINEL_RUN_DIR=str(volume))
        assert found_by(USER, env) == [private, private, "", 1]
    finally:
        subprocess.run(["umount", str(volume)], check=True)


@pytest.mark.parametrize("what", ["link", "foreign", "open", "file"])
def test_what_was_planted_on_a_volume_is_refused(place: Path, what: str) -> None:
    """A private folder that is a link, another user's, or open to others is not written to."""
    volume, other = place / "volume", place / "other"
    volume.mkdir()
    volume.chmod(0o1777)
    other.mkdir()
    os.chown(other, USER, USER)
    private = volume / "sentinel-private"
    if what == "link":
        private.symlink_to(other)
        why = "is a symbolic link; name the directory itself"
    elif what == "file":
        private.touch()
        why = "is not a directory"
    else:
        private.mkdir()
        os.chown(private, *(2 * [USER if what == "open" else 54321]))
        private.chmod(0o777 if what == "open" else 0o700)
        why = "belongs to user 54321, not to 12345"
        if what == "open":
            why = "can be written by others (mode 0777); chmod it to 0700"
    found = found_by(USER, env_of(place, SENTINEL_RUN_DIR=str(volume)))
    assert found == [str(private), str(private), f"the run directory {private} {why}", 0]
    assert list(other.iterdir()) == []


def test_a_directory_that_only_another_user_writes_to_is_refused(place: Path) -> None:
    """It is no place for a folder of ours, and the message says whose it is."""
    volume = place / "volume"
    volume.mkdir()
    os.chown(volume, 65534, 65534)
    found = found_by(USER, env_of(place, SENTINEL_RUN_DIR=str(volume)))
    why = f"the run directory {volume} belongs to user 65534, not to {USER}"
    assert found == [str(volume), str(volume), why, 0]


def test_a_directory_of_ones_own_is_used_as_it_is(place: Path) -> None:
    """One that is yet to be made, or that only its owner writes to, or root's for a group."""
    for name, mode, user in (("new", 0, USER), ("own", 0o755, USER), ("group", 0o770, 0)):
        path = place / "var" / name
        if mode:
            path.mkdir()
            os.chown(path, user, user)
            path.chmod(mode)
        if name == "group":  # as always, where not everybody can write to its parent
            path = path.rename(place / name)
        found = found_by(user, env_of(place, SENTINEL_RUN_DIR=f"{path}/"))
        assert found == [str(path), str(path), "", 1]
        assert "lane-0" in os.listdir(path)


def test_serve_is_ready_on_an_empty_dir(place: Path) -> None:
    """A whole service of a nameless user on a pod's volume is ready, and a probe finds it so."""
    volume = place / "volume"
    volume.mkdir()
    os.chown(volume, 0, USER)
    volume.chmod(0o2777)
    who = harness.as_user(place, USER)
    argv = [*who, sys.executable, "manage.py", "serve", "--workers", "1"]
    env = {"SENTINEL_RUN_DIR": str(volume), "HOME": "/nonexistent"}
    with harness.Server(argv, place, env=env) as server:
        server.wait_serving(server.port, server.health_port)
        for port in (server.port, server.health_port):
            harness.wait_until(lambda p=port: harness.get(p, "/ready").status == 200, "ready")
        done = subprocess.run(
            [*who, sys.executable, "-m", "health.cli", "--quiet"],
            cwd=harness.ROOT,
            env=env_of(place, SENTINEL_RUN_DIR=str(volume)),
            check=False,
        )
        assert done.returncode == 0


def test_a_service_goes_on_where_nothing_can_be_written(place: Path) -> None:
    """With a read-only root and no temporary directory it counts, probes, and says why."""
    unshare = harness.require_program("unshare", "util-linux")
    before = harness.for_every_user(place)
    who = harness.as_user(place, USER)[len(before) :]
    if subprocess.run([unshare, "--mount", "true"], check=False).returncode:
        pytest.skip("this machine lets us make no mount namespace")
    calling = harness.calling(run_dirs.serve_alone, bare=True)
    # an empty read-only file system over each place where temporary files may go
    hide = " && ".join(
        f"if test -d {path}; then mount -t tmpfs -o ro,mode=1777 none {path}; fi"
        for path in run_dir.TEMPORARY
    )
    hidden = [unshare, "--mount", "sh", "-c", f'{hide} && exec "$@"', "sh"]
    backends = {"fine": {"PROBE": "tests.support.probes.always_well"}}
    env = env_of(
        place,
        SENTINEL_RUN_DIR="auto",
        SENTINEL_VAR_DIR="/nonexistent",
        SENTINEL_BACKENDS=json.dumps(backends),
        SENTINEL_ALLOWED_HOSTS="testserver",
        TMPDIR="/nonexistent",
    )
    done = subprocess.run(
        [*before, *hidden, *who, sys.executable, *calling],
        cwd=harness.ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [200, True]
    assert done.stderr.count("No directory for temporary files can be written to") == 1


def test_serve_needs_no_temporary_directory_but_dev_shm(place: Path) -> None:
    """With a read-only root both servers keep gunicorn's files in memory."""
    unshare = harness.require_program("unshare", "util-linux")
    before = harness.for_every_user(place)
    who = harness.as_user(place, USER)[len(before) :]
    if subprocess.run([unshare, "--mount", "true"], check=False).returncode:
        pytest.skip("this machine lets us make no mount namespace")
    hide = " && ".join(
        f"if test -d {path}; then mount -t tmpfs -o ro,mode=1777 none {path}; fi"
        for path in run_dir.TEMPORARY
        if path != "/dev/shm"
    )
    hidden = [unshare, "--mount", "sh", "-c", f'{hide} && cd {harness.ROOT} && exec "$@"', "sh"]
    argv = [sys.executable, "manage.py", "serve", "--workers", "1"]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as volume:
        os.chown(volume, USER, USER)
        (Path(volume) / "var").mkdir()
        os.chown(Path(volume) / "var", USER, USER)
        env = {"HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
        with harness.Server([*before, *hidden, *who, *argv], Path(volume), env=env) as server:
            server.wait_serving()
            server.wait_serving(server.health_port)
            assert harness.get(server.health_port, "/health").json() == {"status": "ok"}


def test_a_temporary_directory_that_cannot_be_written_to_is_passed_over(place: Path) -> None:
    """A TMPDIR of root's own does not stop a service of another user."""
    env = env_of(place, SENTINEL_RUN_DIR="auto", SENTINEL_SERVICE=place.name, TMPDIR=str(place))
    expected = f"/tmp/sentinel-{USER}-{place.name}"
    try:
        assert found_by(USER, env) == [expected, expected, "", 1]
    finally:
        shutil.rmtree(expected, ignore_errors=True)


def test_a_service_of_another_user_is_named(place: Path) -> None:
    """Commands of root say whose directory they did not look at."""
    name = place.name
    env = env_of(place, SENTINEL_RUN_DIR="auto", SENTINEL_SERVICE=name, TMPDIR="/tmp")
    theirs, ours = f"/tmp/sentinel-{USER}-{name}", f"/run/sentinel-0-{name}"
    try:
        assert found_by(USER, env)[0] == theirs
        said = {}
        for words in (["-m", "health.cli"], ["manage.py", "dump_metrics"], ["manage.py", "drain"]):
            done = subprocess.run(
                [sys.executable, *words],
                cwd=harness.ROOT,
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            said[words[-1]] = done.stderr
        assert f"Another user's is in {theirs}: run this command as the user" in said["drain"]
        assert f"Another user's is in {theirs}" in said["dump_metrics"]
        assert f"another user's is in {theirs}" in said["health.cli"]
    finally:
        for path in (theirs, ours):
            shutil.rmtree(path, ignore_errors=True)
