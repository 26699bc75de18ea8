"""Which format and compression each Accept and Accept-Encoding header gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.exposition import TEXT_0_0_4, accepts_gzip, negotiate

TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8; escaping="
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping="

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_53 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_0 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_3_15 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,"
    "application/openmetrics-text;version=0.0.1;q=0.6,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
)
PROMETHEUS_3_UNDERSCORES = (
    "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=underscores;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_NATIVE_HISTOGRAMS = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_DOTS = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.6,application/openmetrics-text;version=1.0.0;escaping=dots;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=dots;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_3_4 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.6,application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=underscores;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_3_TEXT_ONLY = (
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)

ACCEPT = [
    # What scrapers, tools and browsers send.
    (None, TEXT),
    (PROMETHEUS_2_42, OPEN + "underscores"),  # Datadog's agent from 7.46 on, too
    (PROMETHEUS_2_53, OPEN + "underscores"),
    (PROMETHEUS_3_0, OPEN + "allow-utf-8"),
    (PROMETHEUS_3_4, OPEN + "allow-utf-8"),
    (PROMETHEUS_3_15, OPEN + "allow-utf-8"),
    (PROMETHEUS_3_UNDERSCORES, OPEN + "underscores"),
    (PROMETHEUS_3_NATIVE_HISTOGRAMS, OPEN + "allow-utf-8"),
    (PROMETHEUS_3_DOTS, OPEN + "dots"),
    (PROMETHEUS_3_PROTOBUF, OPEN + "underscores"),
    (PROMETHEUS_3_TEXT_ONLY, TEXT_1 + "allow-utf-8"),
    ("text/plain;version=0.0.4;q=1,*/*;q=0.1", TEXT),  # vmagent
    ("text/plain", TEXT),  # older Datadog agents
    ("*/*", TEXT),  # curl
    ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", TEXT),  # Java's URLConnection
    (CHROME, TEXT),
    ("application/json", TEXT),
    # Nothing, and nothing that could be met.
    ("", TEXT),
    (" ", TEXT),
    (",", TEXT),
    (",,;;,", TEXT),
    ("application/openmetrics-text;version=0.0.1", TEXT),
    ("application/openmetrics-text;version=2.0.0", TEXT),
    ("application/openmetrics-text;version=1", TEXT),
    ("text/plain;version=0.0.5", TEXT),
    ("application/vnd.google.protobuf", TEXT),
    ("openmetrics-text", TEXT),
    ("image/*", TEXT),
    # Versions.
    ("application/openmetrics-text", OPEN + "underscores"),
    ("application/openmetrics-text;version=1.0.0", OPEN + "underscores"),
    ('application/openmetrics-text;version="1.0.0"', OPEN + "underscores"),
    ('application/openmetrics-text;version="1.0\\.0"', OPEN + "underscores"),
    ("text/plain;version=0.0.4", TEXT),
    ('text/plain;version="0.0.4"', TEXT),
    ("text/plain;version=1.0.0", TEXT_1 + "underscores"),
    ("text/plain;version=1.0.0;charset=utf-8", TEXT_1 + "underscores"),
    (
        "application/openmetrics-text;version=2.0.0,text/plain;version=1.0.0;q=0.1",
        TEXT_1 + "underscores",
    ),
    # Escaping.
    ("text/plain;version=1.0.0;escaping=allow-utf-8", TEXT_1 + "allow-utf-8"),
    ("text/plain;version=1.0.0;escaping=allow-utf8", TEXT_1 + "allow-utf-8"),
    ("text/plain;version=1.0.0;escaping=underscores", TEXT_1 + "underscores"),
    ("text/plain;version=1.0.0;escaping=dots", TEXT_1 + "dots"),
    ("text/plain;version=1.0.0;escaping=values", TEXT_1 + "values"),
    ('text/plain;version=1.0.0;escaping="dots"', TEXT_1 + "dots"),
    ("text/plain;version=1.0.0;escaping=DOTS", TEXT_1 + "dots"),
    ("text/plain;version=1.0.0;escaping=none", TEXT_1 + "underscores"),
    ("text/plain;version=1.0.0;escaping=", TEXT_1 + "underscores"),
    ("text/plain;version=0.0.4;escaping=allow-utf-8", TEXT),
    ("text/plain;escaping=allow-utf-8", TEXT_1 + "allow-utf-8"),
    ("application/openmetrics-text;escaping=values", OPEN + "values"),
    (
        (
            "application/openmetrics-text;escaping=dots;q=0.4,"
            "application/openmetrics-text;escaping=values;q=0.5"
        ),
        OPEN + "values",
    ),
    # Weights.
    ("application/openmetrics-text;q=0.1,text/plain;q=0.2", TEXT),
    ("application/openmetrics-text;q=0.2,text/plain;q=0.1", OPEN + "underscores"),
    ("application/openmetrics-text;q=0,text/plain;q=0.1", TEXT),
    ("application/openmetrics-text;q=0", TEXT),
    ("application/openmetrics-text;q=0.0", TEXT),
    ("application/openmetrics-text;q=0.000,*/*", TEXT),
    ("text/plain;q=0,*/*;q=0.1", OPEN + "underscores"),
    ("text/plain;version=0.0.4;q=0,text/plain", TEXT_1 + "underscores"),
    ("*/*;q=0", TEXT),
    ("text/plain;version=1.0.0;q=0.001", TEXT_1 + "underscores"),
    ("application/openmetrics-text;q=1.000,text/plain", OPEN + "underscores"),
    ("application/openmetrics-text;q=0.5;ext=1,text/plain;q=0.4", OPEN + "underscores"),
    ("application/openmetrics-text;Q=0.1,text/plain;q=0.2", TEXT),
    ('application/openmetrics-text;q="0.1",text/plain;q=0.2', TEXT),
    ("application/openmetrics-text;q=7", OPEN + "underscores"),
    ("application/openmetrics-text;q=high", TEXT),
    ("application/openmetrics-text;q=-1", TEXT),
    ("application/openmetrics-text;q=nan", TEXT),
    ("application/openmetrics-text;q=1e0", TEXT),
    ("application/openmetrics-text;q=", TEXT),
    ("application/openmetrics-text;q=\u0661", TEXT),
    # Equal weights: the closer match, then the first, then what we prefer.
    ("*/*,application/openmetrics-text", OPEN + "underscores"),
    ("text/*,application/openmetrics-text", OPEN + "underscores"),
    ("text/plain,application/openmetrics-text", TEXT),
    ("application/openmetrics-text,text/plain", OPEN + "underscores"),
    ("text/plain,text/plain;version=1.0.0", TEXT_1 + "underscores"),
    ("text/*", TEXT),
    ("application/*", OPEN + "underscores"),
    ("application/*;q=0.5,text/*;q=0.4", OPEN + "underscores"),
    # The parameters of a wildcard name no format.
    ("*/*;escaping=allow-utf-8", TEXT),
    ("*/*;escaping=underscores", TEXT),
    ("*/*;version=1.0.0", TEXT),
    ("*/*;version=1.0.0;escaping=dots;q=0.5", TEXT),
    ("*;escaping=values", TEXT),
    ("text/*;escaping=allow-utf-8", TEXT),
    ("text/*;version=1.0.0", TEXT),
    ("text/*;q=0.5", TEXT),
    ("text/*;q=0.5;version=1.0.0, */*;q=0.1", TEXT),
    ("text/*;version=9;q=0, text/plain;q=0.1", TEXT),
    ("text/*;q=0.3, */*;q=0.5", OPEN + "underscores"),
    ("text/*;q=0, */*;escaping=dots", OPEN + "underscores"),
    ("application/*;escaping=dots", OPEN + "underscores"),
    ("application/*;q=0.9, text/plain", TEXT),
    # Case, spaces, quotes.
    ("APPLICATION/OpenMetrics-Text;VERSION=1.0.0", OPEN + "underscores"),
    (" application/openmetrics-text ; version = 1.0.0 ; q = 0.9 ", OPEN + "underscores"),
    ("\tapplication/openmetrics-text\t;\tversion=1.0.0\t", OPEN + "underscores"),
    (",application/openmetrics-text,", OPEN + "underscores"),
    ("application/openmetrics-text;;version=1.0.0;", OPEN + "underscores"),
    ("application/openmetrics-text;version", OPEN + "underscores"),
    ('application/openmetrics-text;x="a,text/plain;b"', OPEN + "underscores"),
    ('application/openmetrics-text;x="a\\",text/plain"', OPEN + "underscores"),
    ('application/openmetrics-text;x="never ends,text/plain', OPEN + "underscores"),
    ('text/plain;version="1.0.0;escaping=dots"', TEXT),
    ("text/plain;version=1.0.0;version=0.0.4", TEXT_1 + "underscores"),
    ("text / plain", TEXT),
    # Nothing is echoed, nothing breaks the header.
    ("text/plain;version=1.0.0\r\nSet-Cookie: a=b", TEXT),
    ("application/openmetrics-text;version=1.0.0;charset=evil", OPEN + "underscores"),
    ("text/plain;version=1.0.0;escaping=<script>", TEXT_1 + "underscores"),
    ("\x00\xff\u2028", TEXT),
    ("text/plain;version=1.0.0;q=0.5," * 1000, TEXT_1 + "underscores"),
]


@pytest.mark.parametrize(("accept", "content_type"), ACCEPT)
def test_accept(accept: str | None, content_type: str) -> None:
    """Each header gets the Content-Type beside it, to the letter."""
    assert negotiate(accept).content_type == content_type


def test_no_duplicates_in_the_table() -> None:
    """The table has at least 60 headers, each once."""
    assert len({accept for accept, _ in ACCEPT}) == len(ACCEPT) >= 60


ACCEPT_ENCODING = [
    (None, False),
    ("", False),
    ("gzip", True),
    ("GZip", True),
    ("x-gzip", True),
    ("gzip;q=1", True),
    ("gzip;q=0", False),
    ("gzip; q=0.0", False),
    ("gzip;q=0.001", True),
    ("gzip, deflate, br, zstd", True),
    ("deflate, br", False),
    ("identity", False),
    ("*", True),
    ("*;q=0", False),
    ("*;q=0, gzip", True),
    ("gzip;q=0, *", False),
    ("identity, gzip;q=0.5", False),
    ("identity;q=0.5, gzip", True),
    ("identity, gzip", True),
    ("identity;q=0", False),
    ("identity;q=0, gzip;q=0.1", True),
    ("not-gzip", False),
    ("gzipped", False),
    ("gzip;q=oops", False),
    (",gzip,", True),
    ('"gzip"', False),
]


@pytest.mark.parametrize(("header", "expected"), ACCEPT_ENCODING)
def test_accept_encoding(header: str | None, expected: bool) -> None:
    """Compression is used where the client takes it and does not like the plain text better."""
    assert accepts_gzip(header) is expected


@given(
    st.lists(
        st.sampled_from(
            [
                "text/plain",
                "application/openmetrics-text",
                "*/*",
                ";",
                ",",
                "=",
                '"',
                "\\",
                "q",
                "0",
            ]
        )
        | st.text(max_size=5)
    ).map("".join)
)
def test_nothing_breaks_negotiation(header: str) -> None:
    """Any text at all gets one of the nine Content-Types, and never an exception."""
    known = {TEXT} | {
        head + scheme
        for head in (TEXT_1, OPEN)
        for scheme in ("underscores", "allow-utf-8", "dots", "values")
    }
    assert negotiate(header).content_type in known
    assert accepts_gzip(header) in (True, False)


def test_time_is_linear_in_the_header() -> None:
    """A header made to hurt costs no more than its length."""
    for text in ('"' * 100_001, '"\\' * 50_000, "a;" * 50_000, ";,\\" * 30_000, '\\"' * 50_001):
        assert negotiate(text) == TEXT_0_0_4
