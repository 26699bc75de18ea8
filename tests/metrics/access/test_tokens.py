"""Bearer tokens, and the files that hold them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metrics.access.rules import Access, Decision
from tests.metrics.access.credentials import GRANTED, UNAUTHORIZED, basic, judge


@pytest.mark.parametrize(
    ("authorization", "decision"),
    [
        ("Bearer new", GRANTED),
        ("bearer old", GRANTED),
        ("BEARER  new ", GRANTED),
        ("Bearer ne", UNAUTHORIZED),
        ("Bearer newer", UNAUTHORIZED),
        ("Bearer", UNAUTHORIZED),
        ("Bearer ", UNAUTHORIZED),
        ("new", UNAUTHORIZED),
        ("Token new", UNAUTHORIZED),
        (basic("new", "new"), UNAUTHORIZED),
        ("Bearer \xff\ud800", UNAUTHORIZED),
        ("", UNAUTHORIZED),
    ],
)
def test_bearer(authorization: str, decision: Decision) -> None:
    """Any of several tokens opens, so that one can replace another; nothing else does."""
    assert judge({"BEARER": ["old", "new"]}, authorization) is decision


def test_token_file_is_read_again(tmp_path: Path) -> None:
    """A file with new tokens counts from the next request on, and so does its absence."""
    path = tmp_path / "token"
    path.write_text("first\n")
    access = Access({"BEARER_FILES": [str(path)]})
    assert access.judge("", "", "Bearer first") is GRANTED
    beside = tmp_path / "beside"
    beside.write_text("second\n\nthird\n")
    os.replace(beside, path)
    assert access.judge("", "", "Bearer first") is UNAUTHORIZED
    assert access.judge("", "", "Bearer second") is GRANTED
    assert access.judge("", "", "Bearer third") is GRANTED
    assert access.judge("", "", "Bearer ") is UNAUTHORIZED
    path.unlink()
    assert access.judge("", "", "Bearer second") is UNAUTHORIZED
    path.write_text("second")
    assert access.judge("", "", "Bearer second") is GRANTED


def test_token_file_that_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that cannot be read opens nothing, and the log says so once."""
    access = Access({"BEARER_FILES": [str(tmp_path / "none")]})
    for _ in range(3):
        assert access.judge("", "", "Bearer x") is UNAUTHORIZED
    assert caplog.text.count("cannot be read") == 1


@pytest.mark.parametrize(
    "content",
    [
        b"secret",
        b"secret\n",
        b"\xef\xbb\xbfsecret\n",
        b"\xef\xbb\xbfsecret\r\nother\r\n",
        b"\xef\xbb\xbf\r\n \t secret \t \r\n\r\n",
        b"other\rsecret\r",
        b"\xc2\xa0secret\xe2\x80\xa8\n",
    ],
)
def test_token_file_as_editors_write_it(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A byte order mark, ends of lines of any system and space around a token do not count."""
    path = tmp_path / "token"
    path.write_bytes(content)
    access = Access({"BEARER_FILES": [str(path)]})
    assert access.judge("", "", "Bearer secret") is GRANTED
    for wrong in (
        "Bearer",
        "Bearer ",
        "Bearer \r",
        "Bearer \ufeff",
        "Bearer \xef\xbb\xbfsecret",
        "",
    ):
        assert access.judge("", "", wrong) is UNAUTHORIZED
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", ["The token file PATH has no token in it and opens nothing"]),
        (b"\xef\xbb\xbf\r\n  \n", ["The token file PATH has no token in it and opens nothing"]),
        (
            b"\xff\xfes\0e\0c\0r\0e\0t\0",
            ["The token file PATH cannot be read and opens nothing: it is not UTF-8"],
        ),
        (
            "geh\N{LATIN SMALL LETTER E WITH DIAERESIS}im\nse\0cret\n".encode(),
            [
                "Line 1 of the token file PATH is no token (printable ASCII) and opens nothing",
                "Line 2 of the token file PATH is no token (printable ASCII) and opens nothing",
                "The token file PATH has no token in it and opens nothing",
            ],
        ),
    ],
    ids=["empty", "blank", "UTF-16", "odd"],
)
def test_token_file_without_a_token(
    tmp_path: Path, content: bytes, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Such a file opens nothing to nobody, and the log says why, once, and no secret."""
    path = tmp_path / "token"
    path.write_bytes(content)
    access = Access({"BEARER_FILES": [str(path)]})
    for header in ("", "Bearer", "Bearer ", "Bearer \0", "Bearer secret", "Bearer \ufeff") * 2:
        assert access.judge("", "", header) is UNAUTHORIZED
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [text.replace("PATH", str(path)) for text in said]


def test_token_file_that_is_no_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A directory or a pipe opens nothing, and nobody waits for what a pipe may give."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        access = Access({"BEARER_FILES": [str(path)]})
        assert access.judge("", "", "Bearer x") is UNAUTHORIZED
    assert caplog.text.count("it is no regular file") == 2
