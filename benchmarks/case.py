"""One line of the table: what was measured, both sides, and what they had to reach."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "MiB": 1.0, "%": 100.0, "": 1.0}

HEADINGS = ["case", "ours", "peer", "ratio", "at most", "at least", "met"]


@dataclass(frozen=True, slots=True)
class Case:
    """A measurement. Times are in seconds, whatever unit they are shown in.

    ``peer`` is None where there is nothing to compare with. ``goal`` is the most that
    ours may be, ``goal_ratio`` the least that peer over ours has to be.
    """

    case: str
    ours: float
    peer: float | None = None
    unit: str = "ms"
    goal: float | None = None
    goal_ratio: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times ours the peer's figure is."""
        return self.peer / self.ours if self.peer is not None and self.ours else None

    @property
    def met(self) -> bool | None:
        """Whether every goal was reached; None without one."""
        results = []
        if self.goal is not None:
            results.append(self.ours <= self.goal)
        if self.goal_ratio is not None and self.ratio is not None:
            results.append(self.ratio >= self.goal_ratio)
        return all(results) if results else None

    def row(self) -> list[str]:
        """Return the cells of the table's row."""
        return [
            self.case,
            self._shown(self.ours),
            self._shown(self.peer),
            f"{self.ratio:.1f} x" if self.ratio is not None else "",
            self._shown(self.goal),
            f"{self.goal_ratio:g} x" if self.goal_ratio is not None else "",
            {True: "yes", False: "NO", None: ""}[self.met],
        ]

    def _shown(self, value: float | None) -> str:
        if value is None:
            return ""
        return f"{value * _UNITS[self.unit]:.3g} {self.unit}".rstrip()

    def as_json(self) -> dict[str, Any]:
        """Return all of it, computed figures included."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


def table(cases: list[Case]) -> str:
    """Return the cases as text in columns."""
    rows = [HEADINGS, *(case.row() for case in cases)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    lines = []
    for row in rows:
        first, *rest = row
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)
