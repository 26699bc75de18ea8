"""How much of its allowed series each family has used up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from health.overview import words
from health.overview.tables import Cell, Table
from metrics.admin_rows import rows as family_rows
from metrics.conf import conf
from metrics.scraping.scraper import FamilyFigures

SHOWN = 8
NEARLY_FULL = 0.8


class Share(NamedTuple):
    """A family with its series, and what part of its budget they are."""

    family: str
    series: int
    share: float


def shares(families: Iterable[FamilyFigures]) -> list[Share]:
    """Return the families, those with the most series first."""
    most = conf.metrics_max_series
    found = [Share(row.name, row.series, row.series / most) for row in family_rows(families)]
    return sorted(found, key=lambda share: (-share.series, share.family))


def problems(found: Sequence[Share]) -> Iterable[str]:
    """Say which families are full, or nearly so."""
    for share in found:
        if share.share >= NEARLY_FULL:
            yield (
                f"{share.family} has {words.number(share.series)} series,"
                f" {words.ratio(share.share)} of what it may have"
            )


def table(found: Sequence[Share]) -> Table:
    """Return the families that have the most series."""
    series = sum(share.series for share in found)
    return Table(
        "budget",
        "Series budget",
        ("Family", "Series", "Of its budget"),
        frozenset((1, 2)),
        [
            [
                Cell(share.family, page=("family", share.family)),
                Cell(words.number(share.series)),
                Cell(
                    words.ratio(share.share),
                    state="unhealthy" if share.share >= NEARLY_FULL else "",
                ),
            ]
            for share in found[:SHOWN]
        ],
        note=(
            f"{words.number(series)} series of {len(found)} families;"
            f" each may have {words.number(conf.metrics_max_series)}"
        ),
    )
