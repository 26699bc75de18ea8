"""What one process knows and the shared store does not: its collectors, Info, Enum and the like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.samples import Exemplar, Timestamp

from metrics.exposition import Converted
from metrics.samples import Family, SampleKey


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """The figures of one process beside the store.

    ``asked`` are the names of gauges that a function answers for (``Gauge.set_function``):
    what the store holds under these names is not to be shown. ``units`` are those of its
    metrics, by family's name.
    """

    figures: Converted = field(default_factory=Converted)
    asked: frozenset[str] = frozenset()
    units: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return what `from_json` reads; numbers that are not finite are spelled as Python does."""
        own = self.figures
        families = [
            (
                one.name,
                one.type,
                one.help,
                one.unit,
                [(key.name, key.labels) for key in one.samples],
            )
            for one in own.families
        ]
        exemplars = [
            (at, one.labels, one.value, _time_to_json(one.timestamp))
            for at, one in own.exemplars.items()
        ]
        timestamps = [(at, _time_to_json(when)) for at, when in own.timestamps.items()]
        return json.dumps(
            {
                "families": families,
                "values": own.values,
                "exemplars": exemplars,
                "timestamps": timestamps,
                "malformed": sorted(own.malformed),
                "left_out": own.left_out,
                "asked": sorted(self.asked),
                "units": self.units,
            }
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> OwnFigures:
        """Read what `to_json` wrote. Raises ValueError, TypeError, KeyError for anything else."""
        parsed: dict[str, Any] = json.loads(data)
        families = [
            Family(
                name,
                kind,
                text,
                unit,
                tuple(SampleKey(key, tuple((a, b) for a, b in labels)) for key, labels in samples),
            )
            for name, kind, text, unit, samples in parsed["families"]
        ]
        values = list(map(float, parsed["values"]))
        if len(values) != sum(len(family.samples) for family in families):
            raise ValueError("not one value a sample")
        return cls(
            Converted(
                families,
                values,
                {
                    at: Exemplar(labels, value, _time_from_json(when))
                    for at, labels, value, when in parsed["exemplars"]
                },
                {at: _time_from_json(when) for at, when in parsed["timestamps"]},
                set(parsed["malformed"]),
                list(parsed["left_out"]),
            ),
            frozenset(parsed["asked"]),
            dict(parsed["units"]),
        )


def _time_to_json(when: float | Timestamp | None) -> Any:
    return [when.sec, when.nsec] if isinstance(when, Timestamp) else when


def _time_from_json(when: Any) -> Any:
    return Timestamp(*when) if isinstance(when, list) else when
