"""Put ``_created`` samples into what the shared store gives, for scrapes that ask for them."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from operator import attrgetter

from metrics.samples import Family, Labels, Layout, SampleKey, Snapshot
from metrics.shared.reading.created_times import Times


class CreatedSamples:
    """Adds ``_created`` samples; the last layout is kept, so that its text can be, too."""

    def __init__(self) -> None:
        self._latest: tuple[Layout, Times, _Dated] | None = None

    def add(self, snapshot: Snapshot, times: Times) -> Snapshot:
        """Return ``snapshot`` with a sample more for each series whose time is known.

        It stands behind the series' others. ``times`` is what `created_times.read` gives.
        """
        latest = self._latest
        if latest is None or latest[0] is not snapshot.layout or latest[1] is not times:
            latest = self._latest = snapshot.layout, times, _Dated(snapshot.layout, times)
        return latest[2].apply(snapshot)


class _Dated:
    """A layout with its ``_created`` samples, and where each of its values comes from."""

    def __init__(self, layout: Layout, times: Times) -> None:
        self._order: list[int] = []
        self._end = sum(len(family.samples) for family in layout.families)
        self._times: list[float] = []
        self._next = 0
        families = [self._with_created(one, times) for one in layout.families]
        self.layout = Layout(tuple(families))
        self._positions = {place: position for position, place in enumerate(self._order)}

    def _with_created(self, family: Family, times: Times) -> Family:
        of = times.get(family.name, {}) if family.type != "gauge" else {}
        keys: list[SampleKey] = []
        series = _without_bound if family.type == "histogram" else attrgetter("labels")
        for labels, group in groupby(family.samples, key=series):
            own = list(group)
            keys += own
            self._order += range(self._next, self._next + len(own))
            self._next += len(own)
            when = of.get(tuple(sorted(labels)))
            if when is not None:
                keys.append(SampleKey(family.name + "_created", labels))
                self._order.append(self._end + len(self._times))
                self._times.append(when)
        return replace(family, samples=tuple(keys))

    def apply(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot of the same layout with the times among its values."""
        values = [*snapshot.values, *self._times]
        return replace(
            snapshot,
            layout=self.layout,
            values=[values[i] for i in self._order],
            exemplars={self._positions[at]: one for at, one in snapshot.exemplars.items()},
        )


def _without_bound(key: SampleKey) -> Labels:
    """Return the labels of a histogram's series, of which each bucket has one more."""
    return tuple([pair for pair in key.labels if pair[0] != "le"])
