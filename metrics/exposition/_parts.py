"""Decide what is written under which name and type: the rules of each format.

A `Part` is what stands under one HELP and TYPE. A family is one part in OpenMetrics;
in Prometheus' own formats some of its samples become families of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from metrics.exposition._names import metric_name
from metrics.exposition._negotiation import Format
from metrics.samples import Block, Family, Labels, Samples

SUFFIXES: dict[str, tuple[str, ...]] = {
    "counter": ("_total",),
    "gauge": ("",),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "histogram": ("_bucket", "_count", "_sum"),
    "info": ("_info",),
    "stateset": ("",),
    "summary": ("", "_count", "_sum"),
    "unknown": ("",),
}
"""What a sample's name may add to the name of its family, for each type."""

_CREATED = "_created"
_WITH_CREATED = ("counter", "histogram", "summary")
# Types whose only sample's suffix belongs to the family's name in Prometheus' formats.
_NAMED_BY_SAMPLE = {"counter": "_total", "info": "_info"}
_GAUGES = ("_gcount", "_gsum")  # of a gaugehistogram: no part of a histogram elsewhere
_TEXT_TYPES = {
    "gaugehistogram": "histogram",
    "info": "gauge",
    "stateset": "gauge",
    "unknown": "untyped",
}


Line = tuple[int, str, Labels]
"""One sample: its place among the values, its suffix and its labels."""


@dataclass(slots=True)
class Part:
    """What is written under one HELP and TYPE; ``base`` is the name before escaping.

    Its samples are either ``lines`` or, from place ``start`` on, those of ``block``.
    ``of`` is the name of the family that its samples belong to, if that is another one.
    """

    base: str
    type: str
    help: str
    unit: str
    lines: list[Line] = field(default_factory=list)
    of: str = ""
    block: Block | None = None
    start: int = 0

    def unfold(self) -> list[Line]:
        """Return the samples as lines, which they are from then on."""
        if self.block is not None:
            rows = [
                (suffix, labels + more)
                for labels in self.block.series
                for suffix, more in self.block.shape
            ]
            self.lines = [(place, *row) for place, row in enumerate(rows, self.start)]
            self.block = None
        return self.lines

    def suffixes(self) -> set[str]:
        """Return what the samples' names add to the base."""
        if self.block is not None:
            return {suffix for suffix, _ in self.block.shape}
        return {suffix for _, suffix, _ in self.lines}

    def stem(self, fmt: Format) -> str:
        """Return what each sample's name begins with, escaped."""
        suffix = _NAMED_BY_SAMPLE.get(self.type, "")
        return metric_name(self.base + suffix, fmt.escaping).removesuffix(suffix)

    def family_name(self, fmt: Format) -> str:
        """Return the name that stands in HELP and TYPE, escaped."""
        stem = self.stem(fmt)
        return stem if fmt.is_openmetrics else stem + _NAMED_BY_SAMPLE.get(self.type, "")

    def written_type(self, fmt: Format) -> str:
        """Return the word that stands in TYPE."""
        return self.type if fmt.is_openmetrics else _TEXT_TYPES.get(self.type, self.type)

    def claims(self, fmt: Format) -> set[str]:
        """Return the names that no other part of a scrape may use."""
        stem = self.stem(fmt)
        suffixes = self.suffixes()
        if self.type in ("histogram", "summary"):  # also while it has no series yet
            suffixes.update(SUFFIXES[self.type])
        if fmt.is_openmetrics:
            suffixes.update(("", *SUFFIXES[self.type]))
            suffixes.update((_CREATED,) if self.type in _WITH_CREATED else ())
        return {self.family_name(fmt)} | {stem + suffix for suffix in suffixes}

    def untyped(self) -> list[Part]:
        """Return the same samples as families of no known type, one for each name."""
        parts: dict[str, Part] = {}
        for position, suffix, labels in self.unfold():
            name = self.base + suffix
            part = parts.setdefault(
                name, Part(name, "unknown", self.help, "", of=self.of or self.base)
            )
            part.lines.append((position, "", labels))
        return list(parts.values())

    def only(self, names: Collection[str], fmt: Format) -> list[Part]:
        """Return what ``names`` ask for: the whole family, some of its samples, or nothing."""
        stem = self.stem(fmt)
        by_family = {self.base, stem, self.family_name(fmt)}
        by_family |= {self.of, metric_name(self.of, fmt.escaping)} if self.of else set()
        if not by_family.isdisjoint(names):
            return [self]
        if not any(self.base + one in names or stem + one in names for one in self.suffixes()):
            return []
        lines = [
            line
            for line in self.unfold()
            if self.base + line[1] in names or stem + line[1] in names
        ]
        part = Part(self.base, self.type, self.help, self.unit, lines)
        if (
            fmt.is_openmetrics
            and self.type in ("histogram", "gaugehistogram")
            and any(suffix != "_bucket" for _, suffix, _ in lines)
        ):
            return part.untyped()  # to OpenMetrics, half a histogram is none
        return [part]


def parts(
    families: Sequence[Family],
    fmt: Format,
    *,
    created: bool,
    untyped: Collection[int],
    hidden: Collection[int],
) -> Iterator[Part]:
    """Sort the samples of ``families`` into parts, in stable order.

    Families of one name and type become one part. ``untyped`` are the places of
    families that are to be written without a type, ``hidden`` of those that are not to
    be written at all. A sample whose name is none that
    its family's type can have becomes a family of its own.
    """
    found: dict[tuple[str, str], Part] = {}
    plain: set[tuple[str, str]] = set()
    start = 0
    for place, family in enumerate(families):
        first = start
        start += len(family.samples)
        if place in hidden:
            continue
        kind = family.type if family.type in SUFFIXES else "unknown"
        main = found.get((family.name, kind))
        if main is None:
            main = found[family.name, kind] = Part(family.name, kind, family.help, family.unit)
            main.block = _whole_block(family, kind)
            main.start = first
        else:
            main.unfold()
        if place in untyped:
            plain.add((family.name, kind))
        if main.block is not None:
            continue
        for position, sample in enumerate(family.samples, first):
            suffix = sample.name[len(family.name) :]
            alone = ""
            if not sample.name.startswith(family.name):
                alone = "unknown"
            elif suffix == _CREATED and kind in _WITH_CREATED:
                if not created:
                    continue
                alone = "" if fmt.is_openmetrics else "gauge"
            elif suffix not in SUFFIXES[kind]:
                alone = "unknown"
            elif suffix in _GAUGES and not fmt.is_openmetrics:
                alone = "gauge"
            if alone:
                part = found.setdefault(
                    (sample.name, alone), Part(sample.name, alone, family.help, "", of=family.name)
                )
                part.lines.append((position, "", sample.labels))
            else:
                main.lines.append((position, suffix, sample.labels))
    for key, part in found.items():
        yield from part.untyped() if key in plain else [part]


def _whole_block(family: Family, kind: str) -> Block | None:
    """Return the one block that a family's samples are, if all belong under its type."""
    samples = family.samples
    if not isinstance(samples, Samples) or samples.name != family.name or len(samples.blocks) != 1:
        return None
    block = samples.blocks[0]
    allowed = frozenset(SUFFIXES[kind]).difference(_GAUGES)
    fits = block.series and all(suffix in allowed for suffix, _ in block.shape)
    return block if fits else None
