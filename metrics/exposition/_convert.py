"""Turn prometheus_client's ``Metric`` objects into families and values.

Collectors are other people's code: whatever they yield, what comes out of here can be
written in each format, and what had to be left out is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from prometheus_client import Metric
from prometheus_client.samples import Exemplar, Sample, Timestamp

from metrics.exposition._names import safe
from metrics.exposition._numbers import spell_bound
from metrics.samples import Family, Labels, SampleKey

# Which samples of a type carry a bound: by suffix, and under which label.
_BOUND = {
    "histogram": ("_bucket", "le"),
    "gaugehistogram": ("_bucket", "le"),
    "summary": ("", "quantile"),
}


@dataclass(slots=True)
class Converted:
    """Families and what goes with each of their samples, by position.

    ``malformed`` are the places of families that lack what OpenMetrics demands of
    their type, such as a histogram's last bucket; see ``untyped`` of ``template``.
    """

    families: list[Family] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    exemplars: dict[int, Exemplar] = field(default_factory=dict)
    timestamps: dict[int, float | Timestamp] = field(default_factory=dict)
    malformed: set[int] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)

    def extend(self, other: Converted) -> None:
        """Put the families of ``other`` behind these."""
        samples, families = len(self.values), len(self.families)
        self.exemplars |= {at + samples: one for at, one in other.exemplars.items()}
        self.timestamps |= {at + samples: one for at, one in other.timestamps.items()}
        self.malformed |= {place + families for place in other.malformed}
        self.families += other.families
        self.values += other.values
        self.left_out += other.left_out


@dataclass(slots=True)
class _Row:
    key: SampleKey
    value: float
    rank: tuple[int, float]
    exemplar: Exemplar | None
    timestamp: float | Timestamp | None


def convert(metrics: Iterable[Metric]) -> Converted:
    """Return ``metrics`` as families, with samples of one label set side by side.

    Bounds (``le``, ``quantile``) get their canonical spelling and ascending order.
    A counter's name loses ``_total``, and its sample gets it. An info or a stateset
    with values that these types cannot have becomes a gauge. Samples whose value is
    no number, and native histograms, which no text format has, are left out.
    """
    result = Converted()
    for metric in metrics:
        try:
            _add(metric, result)
        except Exception:  # noqa: BLE001 - whatever a foreign object's attributes may raise
            result.left_out.append(f"something that is no metric: a {type(metric).__name__}")
    return result


def _add(metric: Metric, result: Converted) -> None:
    name, kind = str(metric.name), str(metric.type)
    if kind == "counter":
        name = name.removesuffix("_total")
    groups: dict[Labels, list[_Row]] = {}
    for sample in metric.samples:
        try:
            group, row = _row(sample, name, kind)
        except Exception:  # noqa: BLE001 - the same of a sample's
            result.left_out.append(f"a sample of family {name!r}: its value or labels are unusable")
        else:
            groups.setdefault(group, []).append(row)
    ordered = [_ordered(group) for group in groups.values()]
    if kind in _BOUND and not all(_is_sound(group, name, kind) for group in ordered):
        result.malformed.add(len(result.families))
    rows = [row for group in ordered for row in group]
    if kind == "info" and any(row.value != 1 for row in rows):
        kind, name = "gauge", f"{name}_info"
    elif kind == "stateset" and any(row.value not in (0, 1) for row in rows):
        kind = "gauge"
    keys = tuple(row.key for row in rows)
    family = Family(name, kind, str(metric.documentation), str(metric.unit or ""), keys)
    for position, row in enumerate(rows, len(result.values)):  # from here on nothing raises
        if row.exemplar is not None:
            result.exemplars[position] = row.exemplar
        if row.timestamp is not None:
            result.timestamps[position] = row.timestamp
    result.values += [row.value for row in rows]
    result.families.append(family)


def _row(sample: Sample, name: str, kind: str) -> tuple[Labels, _Row]:
    """Return the label set that a sample belongs to, and the sample."""
    if getattr(sample, "native_histogram", None) is not None:  # it came with the client's 0.22
        raise ValueError("a native histogram has no place in a text format")
    sample_name = str(sample.name)
    if kind == "counter" and sample_name == name:
        sample_name += "_total"
    labels = {safe(key): safe(value) for key, value in sample.labels.items()}
    rank = (1, 0.0)
    bounded = _BOUND.get(kind)
    if bounded is not None and sample_name == name + bounded[0]:
        labels[bounded[1]] = spell_bound(labels[bounded[1]])
        rank = (0, float(labels[bounded[1]]))
    pairs = tuple(sorted(labels.items()))
    group = pairs
    if bounded is not None:
        group = tuple(pair for pair in pairs if pair[0] != bounded[1])
    key = SampleKey(sample_name, pairs)
    return group, _Row(key, float(sample.value), rank, _exemplar(sample.exemplar), sample.timestamp)


def _exemplar(exemplar: Exemplar | None) -> Exemplar | None:
    """Return an exemplar that can be written, or None: it is no reason to lose its sample."""
    if exemplar is None:
        return None
    try:
        labels = {safe(name): safe(value) for name, value in exemplar.labels.items()}
        return Exemplar(labels, float(exemplar.value), exemplar.timestamp)
    except (AttributeError, OverflowError, TypeError, ValueError):
        return None


def _ordered(group: list[_Row]) -> list[_Row]:
    """Put bounds in ascending order, what has none behind them; timestamps all or none."""
    if len(group) == 1:
        return group
    if any(row.timestamp is None for row in group):
        for row in group:
            row.timestamp = None
    return sorted(group, key=lambda row: row.rank)


def _is_sound(group: list[_Row], name: str, kind: str) -> bool:
    """Whether one label set of a histogram or summary is as OpenMetrics demands.

    Counts must be whole numbers. A histogram must have buckets that never fall, up to
    +Inf, and with a count comes a sum; the count is that of the last bucket.
    """
    found = {row.key.name.removeprefix(name): row.value for row in group if row.rank[0]}
    bounded = [row for row in group if not row.rank[0]]
    counts = [value for suffix, value in found.items() if suffix in ("_count", "_gcount")]
    if kind == "summary":
        return all(count.is_integer() for count in counts) and all(
            0 <= row.rank[1] <= 1 for row in bounded
        )
    values = [row.value for row in bounded]
    total = found.get("_sum", found.get("_gsum"))
    return (
        bool(bounded)
        and bounded[-1].rank[1] == inf
        and all(value.is_integer() for value in values)
        and values == sorted(values)
        and all(count == values[-1] for count in counts)
        and len(counts) == (0 if total is None else 1)
        and not (total is not None and bounded[0].rank[1] < 0 and kind == "histogram")
        and not (total is not None and total < 0 <= bounded[0].rank[1])
    )
