"""``sentinel-health``: what ``health_status`` says, without importing Django.

For exec probes and cron: it reads the board's file and ends with 0 (ready), 1 (not
ready) or 2 (unknown or stale). What it imports decides how quick it is, hence the
arguments parsed by hand.
"""

from __future__ import annotations

import os
import sys

from health.core import board_file, clock, verdict_text
from health.core.drain_mark import DrainMark
from health.core.policy import NO_BACKENDS, POLICIES, UNKNOWN, Verdict, judge
from health.core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = """\
usage: sentinel-health [--run-dir DIR | --service NAME] [--format table|json]
                       [--exclude NAME]... [--tag TAG]... [--quiet]

Say whether the service is ready, from what its prober last wrote.
Exit codes: 0 ready, 1 not ready, 2 unknown or stale, or wrong usage.

  --run-dir DIR   the service's SENTINEL_RUN_DIR (default: the environment's, or
                  the automatic one of the project in this folder; settings.py is
                  not read, so where it names a directory, name that here too)
  --service NAME  the service's SENTINEL_SERVICE (default: the environment's), which
                  the automatic directory is named after
  --format        table (default) or json
  --exclude NAME  pass this backend over
  --tag TAG       count only backends with this tag
  -q, --quiet     print nothing
"""

NO_BOARD = "no board in"
HINT = (
    "sentinel-health: that is the automatic run directory; where the service's settings"
    " name another, give it as --run-dir or in SENTINEL_RUN_DIR, and the name that"
    " SENTINEL_SERVICE has there as --service"
)


class UsageError(Exception):
    """The arguments cannot be understood; the message says which and why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the verdict and return the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if "-h" in arguments or "--help" in arguments:
        print(USAGE, end="")
        return 0
    try:
        given = _parse(arguments)
        run_dir, hint = _find(given["--run-dir"], given["--service"])
    except UsageError as e:
        print(f"sentinel-health: {e}", file=sys.stderr)
        return verdict_text.EXIT_CODES[UNKNOWN]
    verdict = assess(run_dir, exclude=given["--exclude"], tags=given["--tag"])
    if not given["--quiet"]:
        if hint and (verdict.reason or "").startswith(NO_BOARD):
            print(hint, file=sys.stderr)
        as_json = given["--format"][-1:] == ["json"]
        print(verdict_text.as_json(verdict) if as_json else verdict_text.as_table(verdict))
    return verdict_text.EXIT_CODES[verdict.status]


def _parse(arguments: list[str]) -> dict[str, list[str]]:
    """Return each option's values. Raises UsageError."""
    given: dict[str, list[str]] = {
        name: [] for name in ("--run-dir", "--service", "--format", "--exclude", "--tag", "--quiet")
    }
    while arguments:
        name, has_value, value = arguments.pop(0).partition("=")
        if name in ("-q", "--quiet") and not has_value:
            given["--quiet"].append("yes")
            continue
        if name not in given or name == "--quiet":
            raise UsageError(f"unknown argument {name}; see --help")
        if not has_value:
            if not arguments:
                raise UsageError(f"{name} needs a value; see --help")
            value = arguments.pop(0)
        if name == "--format" and value not in ("table", "json"):
            raise UsageError(f"--format is table or json, not {value}")
        given[name].append(value)
    return given


def assess(run_dir: str, *, exclude: Sequence[str] = (), tags: Sequence[str] = ()) -> Verdict:
    """Return the verdict on the board of ``run_dir``; one that was never written is unknown."""
    _, document = board_file.read(f"{run_dir}/{board_file.DIRECTORY}/{board_file.NAME}")
    verdict = judge(
        document,
        clock=clock.now(),
        policy=POLICIES.get(document.policy),
        shared_failure=document.shared_failure,
        draining=DrainMark(run_dir).is_set,
        exclude=exclude,
        tags=tags,
    )
    if verdict.reason == NO_BACKENDS and document is board_file.EMPTY:
        return Verdict(UNKNOWN, f"{NO_BOARD} {run_dir}", {}, verdict.clock)
    return verdict


def _find(named: list[str], services: list[str]) -> tuple[str, str]:
    """Return the run directory, and what to say where there is no board in it.

    Raises UsageError.
    """
    from metrics.system import run_dir

    if named and services:
        raise UsageError("--run-dir names the directory, so --service says nothing; see --help")
    path = named[-1] if named else "" if services else os.environ.get("SENTINEL_RUN_DIR", "")
    if path not in ("", run_dir.AUTO):
        return run_dir.locate(os.path.normpath(path)), ""
    service = services[-1] if services else os.environ.get("SENTINEL_SERVICE", "")
    if service and not run_dir.is_service(service):
        raise UsageError(f"{service!r} cannot be a SENTINEL_SERVICE")
    package, folder = ("", "") if service else _project()
    automatic = run_dir.auto_path(package, folder, service=service)
    if not automatic:
        raise UsageError(
            "no directory for temporary files can be written to, so there is no automatic run"
            " directory, and each process of the service keeps its board to itself"
        )
    hint = HINT
    if others := run_dir.of_other_users(package, folder, service=service):
        hint += f"; another user's is in {', '.join(others)}"
    return automatic, hint


def _project() -> tuple[str, str]:
    """Return the package of the settings of this folder, and the folder. Raises UsageError."""
    folder = os.getcwd()
    package = (os.environ.get("DJANGO_SETTINGS_MODULE") or _settings_of(folder)).partition(".")[0]
    there = package and (
        os.path.isdir(f"{folder}/{package}") or os.path.isfile(f"{folder}/{package}.py")
    )
    if not there:
        raise UsageError(
            "cannot tell whose board to read: give --run-dir, --service or SENTINEL_RUN_DIR,"
            " or start it in the folder of manage.py"
        )
    return package, folder


def _settings_of(folder: str) -> str:
    """Return the settings' module that manage.py names, or nothing."""
    try:
        with open(f"{folder}/manage.py", encoding="utf-8") as file:
            _, _, rest = file.read().partition("DJANGO_SETTINGS_MODULE")
    except (OSError, UnicodeDecodeError):
        return ""
    words = rest.replace("'", '"').split('"')
    return words[2] if len(words) > 2 else ""


def run() -> None:
    """Be the console script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
