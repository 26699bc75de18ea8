"""What the admin pages show of a family: rows of plain values."""

from __future__ import annotations

import pytest

from metrics.admin_rows import rows, shown
from metrics.samples import Block, Family, SampleKey, Samples
from metrics.scraping.scraper import FamilyFigures


def test_labels_named_as_bounds_are() -> None:
    """``le`` and ``quantile`` are bounds in histograms and summaries, and labels elsewhere."""
    bounds = Samples("h", (Block((("_bucket", (("le", "1.0"),)), ("_count", ())), ((),)),))
    keys = tuple(SampleKey("g", (("le", le), ("quantile", "q"))) for le in "12")
    found = [
        FamilyFigures(Family("h", "histogram", "", "", bounds), [1.0, 1.0]),
        FamilyFigures(Family("g", "gauge", "", "", keys), [1.0, 2.0]),
    ]
    assert [(row.name, row.labels, row.series) for row in rows(found)] == [
        ("g", ("le", "quantile"), 2),
        ("h", (), 1),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (1234567.0, "1,234,567"),
        (-0.5, "-0.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e300, "1e+300"),
        (float("nan"), "NaN"),
        (float("inf"), "+Inf"),
    ],
)
def test_values_for_people(value: float, text: str) -> None:
    """Values are written in full, with thousands parted."""
    assert shown(value) == text
