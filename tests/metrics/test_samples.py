"""Samples that come as blocks of like series: the same text as if they came one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.exposition import OPENMETRICS_1_0_0, TEXT_0_0_4, TEXT_1_0_0, Escaping, Format, template
from metrics.samples import Block, Family, SampleKey, Samples, Shape

SHAPES: dict[str, Shape] = {
    "counter": (("_total", ()),),
    "summary": (("_count", ()), ("_sum", ())),
    "histogram": (
        ("_bucket", (("le", "1.0"),)),
        ("_bucket", (("le", "+Inf"),)),
        ("_count", ()),
        ("_sum", ()),
    ),
}
NAMES = st.sampled_from(["a", "b", "z", "m.n", "m_n", "le", "__x", "%s", 'q"', "é", ""])
VALUES = st.sampled_from(["", "a", "b", "100%", "%s", '"', "\\", "\n", "\0", "é", "\ud800"])
FORMATS = [
    TEXT_0_0_4,
    OPENMETRICS_1_0_0,
    *(replace(TEXT_1_0_0, escaping=escaping) for escaping in Escaping),
]


@st.composite
def families(draw: st.DrawFn) -> Family:
    """Make a family of blocks, some of which no store would make."""
    kind = draw(st.sampled_from(sorted(SHAPES)))
    blocks = []
    for _ in range(draw(st.integers(0, 2))):
        names = draw(st.lists(NAMES, max_size=3, unique=True))
        rows = draw(st.lists(st.tuples(*(VALUES for _ in names)), max_size=4))
        series = tuple(tuple(zip(names, row, strict=True)) for row in rows)
        blocks.append(Block(SHAPES[kind], series))
    name = draw(st.sampled_from(["one", "two", "o%s", "p.q"]))
    return Family(name, kind, "help", "", Samples(name, tuple(blocks)))


@settings(max_examples=500)
@given(
    st.lists(families(), max_size=4),
    st.sampled_from(FORMATS),
    st.sampled_from([None, ["one"], ["two_sum"], ["one_total", "p.q"]]),
    st.sets(st.integers(0, 3)),
    st.sets(st.integers(0, 3)),
    st.sampled_from([[], ["one"], ["two_count"]]),
)
def test_blocks_give_the_text_of_their_samples(
    found: list[Family],
    fmt: Format,
    names: list[str] | None,
    untyped: set[int],
    hidden: set[int],
    taken: list[str],
) -> None:
    """Whatever the names, labels, format and filters, blocks change nothing in a template."""
    one_by_one = [replace(family, samples=tuple(family.samples)) for family in found]
    made, expected = (
        template(given, fmt, names=names, untyped=untyped, hidden=hidden, taken=taken)
        for given in (found, one_by_one)
    )
    assert (made.text, made.positions, made.rules) == (
        expected.text,
        expected.positions,
        expected.rules,
    )
    assert (made.claims, made.left_out) == (expected.claims, expected.left_out)


def test_samples_are_a_sequence() -> None:
    """Blocks of samples count, index and iterate as the samples that they stand for."""
    series = ((("tool", "a"),), (("tool", "b"),))
    samples = Samples("s", (Block(SHAPES["summary"], series),))
    listed = [SampleKey(f"s{suffix}", labels) for labels in series for suffix in ("_count", "_sum")]
    assert (len(samples), list(samples), samples[1:3]) == (4, listed, tuple(listed[1:3]))
    assert samples[-1] == listed[-1]
    with pytest.raises(IndexError):
        samples[4]
