"""What the admin pages show of the families: rows of plain values, ready for a template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import NamedTuple

from metrics.conf import conf
from metrics.exposition import spell
from metrics.samples import Family, Labels, SampleKey, Samples
from metrics.scraping.scraper import FamilyFigures

PAGE = 100
"""Samples on one page."""
_BOUNDS = {"histogram": "le", "gaugehistogram": "le", "summary": "quantile"}
"""The label that tells the samples of one series apart; in other families it is the user's."""
_SUFFIXES = {"counter": "_total", "info": "_info"}


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One line of a scrape: the sample's name, its labels and its value."""

    name: str
    labels: Labels
    value: str


class LabelCost(NamedTuple):
    """A label: how many values it has, and how many series there would be without it."""

    name: str
    values: int
    without: int


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

    def page(self, text: str, number: int) -> tuple[list[SeriesRow], int]:
        """Return one page, from 1 on, of the samples whose name or labels contain ``text``.

        And how many there are together. Any case will do.
        """
        start = (number - 1) * PAGE
        if not text:
            samples = islice(self.figures.samples, start, start + PAGE)
            return [_sample(key, value) for key, value in samples], len(self.figures.values)
        text = text.casefold()
        found = [
            (key, value)
            for key, value in self.figures.samples
            if text in key.name.casefold()
            or any(text in f'{name}="{label}"'.casefold() for name, label in key.labels)
        ]
        return [_sample(key, value) for key, value in found[start : start + PAGE]], len(found)

    @staticmethod
    def pages(samples: int) -> int:
        """Return how many pages so many samples take; one at least."""
        return max(1, -(-samples // PAGE))

    @property
    def unit(self) -> str:
        """In what it is measured: seconds, bytes, ratio or nothing that is known."""
        name = self.figures.family.name
        return next((u for u in ("seconds", "bytes", "ratio") if name.endswith(f"_{u}")), "")

    @property
    def budget(self) -> float:
        """The share of the series that it may have, 0 to 1 and more."""
        return self.series / conf.metrics_max_series

    def label_costs(self) -> list[LabelCost]:
        """Return what each label costs in series, the dearest first."""
        sets = _label_sets(self.figures.family)
        costs = []
        for name in self.labels:
            values = {value for labels in sets for label, value in labels if label == name}
            without = {tuple(pair for pair in labels if pair[0] != name) for labels in sets}
            costs.append(LabelCost(name, len(values), len(without)))
        return sorted(costs, key=lambda cost: (cost.without, cost.name))

    @property
    def queries(self) -> list[str]:
        """PromQL for what one would ask of such a family."""
        if self.type == "counter":
            by = f" by ({', '.join(self.labels)})" if self.labels else ""
            return [f"sum{by} (rate({self.name}[5m]))"]
        if self.type == "histogram":
            by = f" by ({', '.join(('le', *self.labels))})"
            rate = f"sum{by} (rate({self.name}_bucket[5m]))"
            mean = f"rate({self.name}_sum[5m]) / rate({self.name}_count[5m])"
            return [*(f"histogram_quantile({q}, {rate})" for q in (0.5, 0.95, 0.99)), mean]
        if self.type == "summary":
            return [f"rate({self.name}_sum[5m]) / rate({self.name}_count[5m])"]
        return [self.name]


def rows(families: Iterable[FamilyFigures]) -> list[FamilyRow]:
    """Return the families in the order of their names."""
    return sorted((_row(figures) for figures in families), key=lambda row: row.name)


def shown(value: float) -> str:
    """Write a value for people: no digit is lost, thousands are parted."""
    if isfinite(value) and value.is_integer() and abs(value) < 2**53:
        return f"{value:,.0f}"
    return spell(value)


def _sample(key: SampleKey, value: float) -> SeriesRow:
    return SeriesRow(key.name, key.labels, shown(value))


def _label_sets(family: Family) -> set[Labels]:
    """Return the labels of each series, without those that tell its samples apart."""
    bound = _BOUNDS.get(family.type)
    if isinstance(family.samples, Samples):  # many series, whose lines need not be made
        return {labels for block in family.samples.blocks for labels in block.series}
    return {tuple(pair for pair in key.labels if pair[0] != bound) for key in family.samples}


def _row(figures: FamilyFigures) -> FamilyRow:
    family = figures.family
    label_sets = _label_sets(family)
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
