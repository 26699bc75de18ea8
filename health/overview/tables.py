"""Tables of plain values, which the template and the page's script write in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Cell:
    """What one cell says; ``state`` colours it, ``spark`` is drawn beside it.

    ``page`` is what it leads to: the kind of a page, and the name of what that shows.
    """

    text: str
    state: str = ""
    spark: Sequence[float | None] = ()
    page: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its heading; ``numbers`` are the columns that are set to the right.

    ``empty`` stands in place of a table without rows, ``note`` behind one with rows.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    numbers: frozenset[int] = frozenset()
    rows: list[list[Cell]] = field(default_factory=list)
    empty: str = ""
    note: str = ""
    more: int = 0
    """How many rows were left out."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, and for the template."""
        return {
            "name": self.name,
            "title": self.title,
            "columns": [
                {"text": text, "number": place in self.numbers}
                for place, text in enumerate(self.columns)
            ],
            "rows": [
                [
                    _as_dict(cell, column, number=place in self.numbers)
                    for place, (column, cell) in enumerate(zip(self.columns, row, strict=True))
                ]
                for row in self.rows
            ],
            "empty": self.empty,
            "note": self.note,
            "more": self.more,
        }


def _as_dict(cell: Cell, column: str, *, number: bool) -> dict[str, Any]:
    given = {"text": cell.text, "label": column, "number": number}
    optional = {"state": cell.state, "spark": list(cell.spark), "page": cell.page}
    return given | {name: value for name, value in optional.items() if value}
