"""What errors lose before anybody reads them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from health import redact
from health.board.health_map import BackendHealthMap
from tests.support.harness import ROOT


def test_errors_lose_their_credentials() -> None:
    """A password in an error never reaches the board."""
    board = BackendHealthMap()
    board.report("db", False, error="cannot reach postgres://bob:hunter2@db/x password=hunter2")
    assert board["db"].error == "cannot reach postgres://***@db/x password=***"


def test_errors_lose_what_cannot_be_printed_or_stored() -> None:
    """A backend may write NUL, escapes and halves of characters; no table takes them."""
    board = BackendHealthMap()
    board.report("db", False, error="a\x00b \x1b[31mred\ud800 \u202etxt\r\nsecond line é😀")
    assert board["db"].error == "a?b ?[31mred? ?txt second line é😀"


@pytest.mark.parametrize("part", ["a-", "password", "://", "bearer ", "token=", "'"])
def test_a_long_error_is_looked_into_quickly(part: str) -> None:
    """However long and contrived it is: the prober's loop does this."""
    code = "import sys; from health.redact import redact; print(len(redact(sys.argv[1] * 10**6)))"
    done = subprocess.run(
        [sys.executable, "-c", code, part], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    assert int(done.stdout) <= redact.MAX_TEXT


def test_half_a_secret_at_the_cut_is_not_shown() -> None:
    """Masks shorten a text, so that what stood far behind comes to the front."""
    secret = "s3cr3t-" * 20
    text = secret * (redact.MAX_LOOKED_AT // len(secret)) + secret
    assert "s3cr3t" not in redact.redact(text + "x" * 100, [secret])
