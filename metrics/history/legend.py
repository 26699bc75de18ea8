"""The legend of the history: which numbers of a row belong to which track."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any, Self

from metrics.history.tracks import Track
from metrics.system import flock

LEGEND = "history.json"
"""The file, beside that of the rows."""
MAX_CELLS = 8192
"""Numbers that a row may have."""


class HistoryError(Exception):
    """There is no history that can be read."""


class Legend:
    """Which track has which cells. Cells are given once and never to another track."""

    def __init__(self, generation: int, tracks: Iterable[Track] = ()) -> None:
        self.generation = generation
        self.first: dict[Track, int] = {}
        self.cells = 0
        self.left_out = 0
        """How many tracks had no place."""
        for track in tracks:
            self.add(track)

    def add(self, track: Track) -> bool:
        """Give a track its cells; whether there was room for them."""
        if track in self.first:
            return True
        if self.cells + track.cells > MAX_CELLS:
            return False
        self.first[track] = self.cells
        self.cells += track.cells
        return True

    @classmethod
    def read(cls, directory: str) -> Self:
        """Return what the directory's legend says. Raises OSError, HistoryError."""
        with open(os.path.join(directory, LEGEND), "rb") as file:
            return cls.from_json(file.read())

    def write(self, directory: str) -> None:
        """Put it in place of the directory's legend. Raises OSError."""
        path = os.path.join(directory, LEGEND)
        fd = flock.open_file(f"{path}.new")
        with open(fd, "w") as file:
            file.truncate()
            file.write(self.to_json())
        os.rename(f"{path}.new", path)

    def to_json(self) -> str:
        """Return it as text."""
        tracks = [[*track[:-1], list(map(repr, track.bounds))] for track in self.first]
        return json.dumps(
            {"generation": self.generation, "left_out": self.left_out, "tracks": tracks}
        )

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Return what `to_json` wrote. Raises HistoryError."""
        try:
            known = json.loads(text)
            legend = cls(int(known["generation"]), map(_track, known["tracks"]))
            legend.left_out = int(known["left_out"])
        except (ValueError, TypeError, KeyError, AttributeError) as e:
            raise HistoryError(f"the legend cannot be read: {e}") from e
        return legend


def _track(row: list[Any]) -> Track:
    *names, bounds = row
    family, kind, label, value, part = map(str, names)
    return Track(family, kind, label, value, part, tuple(map(float, bounds)))
