"""The list of families in the admin: their figures, and in which order they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from metrics import admin_charts
from metrics.admin_rows import FamilyRow
from metrics.history.window import Window


@dataclass(frozen=True, slots=True)
class Listed:
    """A family with what the list shows of it beside its name."""

    row: FamilyRow
    rate: float | None
    spark: Sequence[float | None]

    @property
    def budget_text(self) -> str:
        """The share of the series that it may have."""
        return f"{self.row.budget * 100:.3g} %"

    @property
    def rate_text(self) -> str:
        """How much is counted a second now; nothing for what counts nothing."""
        return "" if self.rate is None else f"{self.rate:.3g}/s"

    @property
    def value_text(self) -> str:
        """The value of a family that is a single number, in six digits; its page has them all."""
        value = self.row.value or ""
        return f"{float(value):.6g}" if "." in value and "," not in value else value

    def as_dict(self) -> dict[str, Any]:
        """Return the figures that change, as the list writes them, and as numbers."""
        return {
            "series": self.row.series,
            "budget": self.budget_text,
            "rate": self.rate_text,
            "per_second": self.rate,
            "value": self.value_text,
            "spark": list(self.spark),
        }


def listed(rows: Iterable[FamilyRow], window: Window | None) -> list[Listed]:
    """Return the families with their rates of now and their courses."""
    given = list(rows)
    courses = admin_charts.sparks(window, (row.name for row in given))
    return [
        Listed(row, admin_charts.rate_now(window, row.name), courses.get(row.name, ()))
        for row in given
    ]


class Column(NamedTuple):
    """A column by which the list can be sorted."""

    name: str
    title: str
    is_number: bool = False


COLUMNS = (
    Column("name", "Name"),
    Column("type", "Type"),
    Column("labels", "Labels"),
    Column("series", "Series", True),
    Column("budget", "Budget", True),
    Column("rate", "Rate now", True),
)
_KEYS: dict[str, Callable[[Listed], Any]] = {
    "name": lambda one: one.row.name,
    "type": lambda one: one.row.type,
    "labels": lambda one: len(one.row.labels),
    "series": lambda one: one.row.series,
    "budget": lambda one: one.row.budget,
    "rate": lambda one: -1 if one.rate is None else one.rate,
}


class Order(NamedTuple):
    """By which column, and whether the largest comes first."""

    column: str
    is_falling: bool

    @classmethod
    def of(cls, text: str) -> Order:
        """Read what the address says, as ``-series``; by name if it says nothing known."""
        column = text.removeprefix("-")
        return cls(column, text.startswith("-")) if column in _KEYS else cls("name", False)

    def sorted(self, families: Iterable[Listed]) -> list[Listed]:
        """Return the families in this order; those that are alike by name."""
        by_name = sorted(families, key=_KEYS["name"])
        return sorted(by_name, key=_KEYS[self.column], reverse=self.is_falling)

    def next(self, column: Column) -> str:
        """Return what a click on a column's heading asks for."""
        if self.column == column.name:
            return column.name if self.is_falling else f"-{column.name}"
        return f"-{column.name}" if column.is_number else column.name

    def aria(self, column: Column) -> str:
        """Return what ``aria-sort`` says of a column; nothing for those that do not count."""
        if self.column != column.name:
            return ""
        return "descending" if self.is_falling else "ascending"
