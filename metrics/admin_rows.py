"""What the admin pages show of the families: rows of plain values, ready for a template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

from metrics.exposition import spell
from metrics.samples import Labels
from metrics.scraping.scraper import FamilyFigures

_BOUNDS = {"histogram": "le", "gaugehistogram": "le", "summary": "quantile"}
"""The label that tells the samples of one series apart; in other families it is the user's."""
_SUFFIXES = {"counter": "_total", "info": "_info"}


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One line of a scrape: the sample's name, its labels and its value."""

    name: str
    labels: Labels
    value: str


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """One family: its name as queries use it, and what there is to know of it.

    ``value`` is given where the family is a single number.
    """

    name: str
    type: str
    help: str
    labels: tuple[str, ...]
    series: int
    value: str | None
    figures: FamilyFigures

    def matches(self, text: str) -> bool:
        """Whether name, help or a label's name contains ``text``, in any case."""
        text = text.casefold()
        return any(text in part.casefold() for part in (self.name, self.help, *self.labels))

    def samples(self, text: str = "") -> list[SeriesRow]:
        """Return the samples whose name or labels contain ``text``, in any case."""
        text = text.casefold()
        return [
            SeriesRow(key.name, key.labels, shown(value))
            for key, value in self.figures.samples
            if not text
            or text in key.name.casefold()
            or any(text in f'{name}="{label}"'.casefold() for name, label in key.labels)
        ]


def rows(families: Iterable[FamilyFigures]) -> list[FamilyRow]:
    """Return the families in the order of their names."""
    return sorted((_row(figures) for figures in families), key=lambda row: row.name)


def shown(value: float) -> str:
    """Write a value for people: no digit is lost, thousands are parted."""
    if isfinite(value) and value.is_integer() and abs(value) < 2**53:
        return f"{value:,.0f}"
    return spell(value)


def _row(figures: FamilyFigures) -> FamilyRow:
    family = figures.family
    bound = _BOUNDS.get(family.type)
    label_sets = {tuple(pair for pair in key.labels if pair[0] != bound) for key in family.samples}
    names = {name for labels in label_sets for name, _ in labels}
    plain: Sequence[float] = [
        value for key, value in figures.samples if not key.name.endswith("_created")
    ]
    return FamilyRow(
        name=family.name + _SUFFIXES.get(family.type, ""),
        type=family.type,
        help=family.help,
        labels=tuple(sorted(names)),
        series=len(label_sets),
        value=shown(plain[0]) if len(plain) == 1 else None,
        figures=figures,
    )
