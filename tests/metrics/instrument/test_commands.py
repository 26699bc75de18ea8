"""What is measured of management commands."""

from __future__ import annotations

import gc
import os
import time
import weakref
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from metrics.instrument import commands as instrument
from metrics.instrument.bounds import FirstOnes
from tests.metrics.instrument.figures import Figures

RUNS, ACTIVE = "django_command_duration_seconds_count", "django_commands_active"


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    instrument.install()
    instrument.install()


@pytest.fixture(autouse=True)
def _no_command_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instrument, "_command", FirstOnes(instrument.MOST_COMMANDS))


def command(name: str, ends: BaseException | None = None) -> BaseCommand:
    """Return a command of an application's ``name`` that ends by ``ends``."""

    class Command(BaseCommand):
        requires_system_checks = ()

        def handle(self, *args: Any, **options: Any) -> None:
            """End so."""
            if ends is not None:
                raise ends

    Command.__module__ = f"shop.management.commands.{name}"
    return Command()


@pytest.mark.parametrize(
    ("ends", "code", "error"),
    [
        (None, "0", ""),
        (SystemExit(), "0", ""),
        (SystemExit(0), "0", ""),
        (SystemExit(3), "3", "SystemExit"),
        (SystemExit(-1), "255", "SystemExit"),
        (SystemExit("no"), "1", "SystemExit"),
        (CommandError("no"), "1", "django.core.management.base.CommandError"),
        (CommandError("no", returncode=4), "4", "django.core.management.base.CommandError"),
        (LookupError("no"), "1", "LookupError"),
        (KeyboardInterrupt(), "130", "KeyboardInterrupt"),
    ],
)
def test_each_end(ends: BaseException | None, code: str, error: str) -> None:
    """The code is the one with which a process ends so."""
    runs, active = Figures(RUNS), Figures(ACTIVE)
    success = Figures("django_command_last_success_timestamp_seconds")
    made = command("nightly", ends)
    if ends is None:
        call_command(made)
    else:
        with pytest.raises(type(ends)):
            call_command(made)
    expected: dict[str, Any] = {"command": "nightly", "exit_code": code, "n": 1}
    assert runs.new() == [expected | ({"error_type": error} if error else {})]
    assert bool(success.new()) == (code == "0")
    assert not active.new()


def test_commands_in_commands() -> None:
    """Each counts, and is in progress meanwhile."""
    inner = command("inner")

    class Outer(BaseCommand):
        requires_system_checks = ()

        def execute(self, *args: Any, **options: Any) -> Any:
            """Do a little more than the base does, and count once all the same."""
            return super().execute(*args, **options)

        def handle(self, *args: Any, **options: Any) -> None:
            """Run another command twice."""
            active = Figures(ACTIVE, before=False)
            call_command(inner)
            call_command(inner)
            assert {"command": "outer", "n": 1} in active.new()

    Outer.__module__ = "shop.management.commands.outer"
    runs = Figures(RUNS)
    call_command(Outer())
    assert runs.new() == [
        {"command": "inner", "exit_code": "0", "n": 2},
        {"command": "outer", "exit_code": "0", "n": 1},
    ]


def test_a_child_that_leaves_through_the_command() -> None:
    """The command ends in the process in which it began, and nowhere else."""
    read, write = os.pipe()

    class Forks(BaseCommand):
        requires_system_checks = ()

        def handle(self, *args: Any, **options: Any) -> None:
            """Leave the child as a program would end."""
            if os.fork() == 0:
                raise SystemExit

    Forks.__module__ = "shop.management.commands.forks"
    parent, runs, active = os.getpid(), Figures(RUNS), Figures(ACTIVE)
    try:
        call_command(Forks())
    except SystemExit:
        os.write(write, str([runs.new(), active.new()]).encode())
    finally:
        if os.getpid() != parent:
            os._exit(0)
    os.wait()
    active_in_child = {"command": "forks", "n": 1.0}
    assert os.read(read, 1000).decode() == str([[], [active_in_child]])
    assert runs.new() == [{"command": "forks", "exit_code": "0", "n": 1}]
    assert not active.new()
    os.close(read)
    os.close(write)


def test_an_exception_is_not_kept() -> None:
    """Nothing of it waits for garbage to be collected, as a file that it holds."""

    class OddError(Exception):
        pass

    class Fails(BaseCommand):
        requires_system_checks = ()

        def handle(self, *args: Any, **options: Any) -> None:
            """Raise."""
            raise OddError

    gc.disable()
    try:
        try:
            Fails().execute(force_color=False, no_color=False, skip_checks=True)
        except OddError as e:
            kept = weakref.ref(e)
        assert kept() is None
    finally:
        gc.enable()


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no command of an application is `_OTHER`, as is what is beyond the bound."""
    monkeypatch.setattr(instrument, "_command", FirstOnes(1))
    runs = Figures(RUNS)
    call_command(command("first"))
    call_command(command("second"))
    foreign = command("third")
    type(foreign).__module__ = "somewhere"
    call_command(foreign)
    assert runs.new() == [
        {"command": "_OTHER", "exit_code": "0", "n": 2},
        {"command": "first", "exit_code": "0", "n": 1},
    ]


def test_our_own_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """What shows the figures changes none."""
    runs = Figures(RUNS)
    call_command("dump_metrics")
    assert not runs.new()
    assert capsys.readouterr().out


def test_a_fault_of_ours_ends_no_command(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged."""
    monkeypatch.setattr(instrument, "ACTIVE", None)
    call_command(command("nightly"))
    assert "the command nightly is not measured" in caplog.text


def test_when_it_last_succeeded() -> None:
    """In seconds since 1970."""
    before = time.time()
    call_command(command("hourly"))
    [row] = Figures("django_command_last_success_timestamp_seconds", before=False).new()[:1]
    assert row["n"] >= before - 60
