"""Write families as a text with a place for each value: the one encoder of all formats.

What depends on names, labels and types is decided here, once for a `Layout`; a scrape
then joins what is prepared and the values. Follows OpenMetrics 1.0.0 and Prometheus' page
"Exposition formats", in the reading of the parsers of Prometheus and prometheus_client.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import isfinite

from prometheus_client.samples import Exemplar, Timestamp

from metrics.exposition._names import (
    escape_help,
    escape_value,
    is_plain_metric,
    label_name,
    made_unique,
)
from metrics.exposition._negotiation import Format
from metrics.exposition._numbers import exemplar_text, spell, timestamp_text
from metrics.exposition._parts import Part, parts
from metrics.samples import Block, Family, Labels
from metrics.system.gc_pause import collector_paused

# What OpenMetrics says of a sample's value, as bits of `Template.rules`.
_NOT_NEGATIVE = 1
_MAY_HAVE_EXEMPLAR = 2
_RULES = {
    ("counter", "_total"): _NOT_NEGATIVE | _MAY_HAVE_EXEMPLAR,
    ("histogram", "_bucket"): _NOT_NEGATIVE | _MAY_HAVE_EXEMPLAR,
    ("histogram", "_count"): _NOT_NEGATIVE,
    ("histogram", "_sum"): _NOT_NEGATIVE,
    ("gaugehistogram", "_bucket"): _NOT_NEGATIVE | _MAY_HAVE_EXEMPLAR,
    ("gaugehistogram", "_gcount"): _NOT_NEGATIVE,
    ("summary", ""): _NOT_NEGATIVE,
    ("summary", "_count"): _NOT_NEGATIVE,
    ("summary", "_sum"): _NOT_NEGATIVE,
}


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The text of some families without its values, and what may be put into it.

    ``text`` are its pieces, every second one the empty place of a sample's value.
    ``positions`` tells which of the values those are, or is None when they are all of
    them in their order. ``offsets`` are
    the positions at which each family begins, ``rules`` OpenMetrics' rules for each
    position (empty in other formats). ``claims`` are the names that no other family
    of the same scrape may use. ``left_out`` says in plain words which families and
    series could not be written.
    """

    fmt: Format
    text: tuple[str, ...]
    positions: tuple[int, ...] | None
    offsets: Sequence[int]
    rules: bytes
    claims: frozenset[str]
    left_out: tuple[str, ...]

    def unfit(self, values: Sequence[float]) -> frozenset[int]:
        """Return the places of families that OpenMetrics cannot hold with these values.

        They are counters and the like that are NaN or negative; see ``untyped`` of
        `template`. Always empty for Prometheus' own formats.
        """
        if not self.rules:
            return frozenset()
        suspects = [i for i, value in enumerate(values) if not value >= 0]
        return frozenset(
            bisect_right(self.offsets, i) - 1 for i in suspects if self.rules[i] & _NOT_NEGATIVE
        )

    def fill(
        self,
        values: Sequence[float],
        exemplars: Mapping[int, Exemplar] | None = None,
        timestamps: Mapping[int, float | Timestamp] | None = None,
    ) -> str:
        """Return the text with ``values``, one for each sample of the families.

        ``exemplars`` and ``timestamps`` (unix seconds) go by position in ``values``;
        an exemplar where the format has no place for one is left out.
        """
        written = list(map(repr if isfinite(sum(values)) else spell, values))
        for i, when in (timestamps or {}).items():
            written[i] += timestamp_text(when, self.fmt.is_openmetrics)
        for i, exemplar in (exemplars or {}).items() if self.rules else ():
            if self.rules[i] & _MAY_HAVE_EXEMPLAR:
                written[i] += exemplar_text(exemplar, self.fmt.escaping)
        pieces = list(self.text)  # joined, which is quicker than a formatting call
        pieces[1::2] = written if self.positions is None else [written[i] for i in self.positions]
        return "".join(pieces)


def template(
    families: Sequence[Family],
    fmt: Format,
    *,
    names: Collection[str] | None = None,
    created: bool = False,
    taken: Collection[str] = (),
    untyped: Collection[int] = (),
    hidden: Collection[int] = (),
    constant: Labels = (),
) -> Template:
    """Prepare the text of ``families`` in the format ``fmt``, without OpenMetrics' ``# EOF``.

    ``names`` keeps only families and samples of these names, as they are or as
    ``fmt`` escapes them. ``created`` keeps the ``_created`` samples. ``taken`` are
    names that an earlier part of the same scrape claims: a family that needs one is
    written without its type, under its samples' names, or left out. ``untyped`` are
    the places of families that are to be written that way from the start, ``hidden`` of
    those that are not to be written. ``constant`` are labels of each sample that has none of
    that name.

    Families of one name and type are written as one; of a series that comes twice
    the first is kept.
    """
    offsets = [0, *accumulate(len(family.samples) for family in families)]
    writer = _Writer(fmt, set(taken), bytearray(offsets[-1]), constant)
    with collector_paused():
        for whole in parts(families, fmt, created=created, untyped=untyped, hidden=hidden):
            for part in [whole] if names is None else whole.only(names, fmt):
                writer.add(part)
    in_order = writer.positions == list(range(offsets[-1]))
    return Template(
        fmt,
        _pieces("".join(writer.pieces)),
        None if in_order else tuple(writer.positions),
        offsets,
        bytes(writer.rules) if fmt.is_openmetrics else b"",
        frozenset(writer.claims),
        tuple(writer.left_out),
    )


def _twice(text: str) -> str:
    """Escape what is to be formatted with labels' values now, and with samples' at a scrape."""
    return text.replace("%", "%%%%")


class _ValueTexts(dict[str, str]):
    """Label values as they stand in a template, each written once."""

    def __missing__(self, value: str) -> str:
        text = self[value] = escape_value(value).replace("%", "%%")
        return text


def _pieces(text: str) -> tuple[str, ...]:
    """Part ``text`` at each ``%s``, an empty piece for each; ``%%`` stands for a percent sign."""
    if "%%" in text:
        sign = "\ud800"  # no text has a surrogate
        parts = [part.replace(sign, "%") for part in text.replace("%%", sign).split("%s")]
    else:
        parts = text.split("%s")
    pieces = [""] * (2 * len(parts) - 1)
    pieces[::2] = parts
    return tuple(pieces)


class _Writer:
    """Collect the text, part by part; remember what is taken and what was left out."""

    def __init__(
        self, fmt: Format, taken: set[str], rules: bytearray, constant: Labels = ()
    ) -> None:
        self.fmt = fmt
        self.constant = constant
        self.taken = taken
        self.rules = rules
        self.claims: set[str] = set()
        self.pieces: list[str] = []
        self.positions: list[int] = []
        self.left_out: list[str] = []
        self._texts: dict[tuple[str, str], tuple[str, str]] = {}

    def add(self, part: Part) -> None:
        """Write a part, or as much of it as the names in use allow."""
        if self._is_free(part):
            self._write(part)
            return
        for rest in part.untyped():
            if self._is_free(rest):
                self._write(rest)
            else:
                self.left_out.append(f"family {rest.base!r}: its name is taken by another one")

    def _is_free(self, part: Part) -> bool:
        return bool(part.stem(self.fmt)) and part.claims(self.fmt).isdisjoint(self.taken)

    def _write(self, part: Part) -> None:
        claims = part.claims(self.fmt)
        self.taken |= claims
        self.claims |= claims
        family = part.family_name(self.fmt)
        kind = part.written_type(self.fmt)
        if kind == "stateset" and not self._is_stateset(part, family):
            kind = "gauge"
        self._write_metadata(part, family, kind)
        heads = {
            suffix: (*self._head(part, suffix), _RULES.get((part.type, suffix), 0))
            for suffix in part.suffixes()
        }
        if part.block is not None and (rows := self._rows(part.block, heads)) is not None:
            end = part.start + len(part.block.shape) * len(rows)
            self.pieces += rows
            self.positions += range(part.start, end)
            rules = bytes(heads[suffix][2] for suffix, _ in part.block.shape)
            self.rules[part.start : end] = rules * len(rows)
            return
        seen: set[str] = set()
        for position, suffix, labels in part.unfold():
            bare, opened, rule = heads[suffix]
            labels = self._with_constant(labels)
            key = f"{opened}{self._labels(labels)}}} " if labels else bare
            if key in seen:
                self.left_out.append(f"series {key.rstrip()}: it comes twice")
                continue
            seen.add(key)
            self.pieces.append(f"{key}%s\n" if "%" not in key else f"{key.replace('%', '%%')}%s\n")
            self.positions.append(position)
            self.rules[position] = rule

    def _write_metadata(self, part: Part, family: str, kind: str) -> None:
        name = family if is_plain_metric(family) else f'"{escape_value(family)}"'
        lines = [f"# TYPE {name} {kind}\n"]
        if part.help:
            text = escape_help(part.help, quotes=self.fmt.is_openmetrics)
            lines.insert(0, f"# HELP {name} {text}\n")
        if (
            self.fmt.is_openmetrics
            and part.unit
            and kind not in ("info", "stateset", "unknown")
            and family.endswith(f"_{part.unit}")
            and is_plain_metric(part.unit)
        ):
            lines.append(f"# UNIT {name} {part.unit}\n")
        self.pieces.extend(line.replace("%", "%%") for line in lines)

    def _is_stateset(self, part: Part, family: str) -> bool:
        """Whether each sample has the label that OpenMetrics names after the family."""
        return (
            all(any(name == part.base for name, _ in labels) for _, _, labels in part.unfold())
            and label_name(part.base, self.fmt.escaping).strip('"') == family
        )

    def _head(self, part: Part, suffix: str) -> tuple[str, str]:
        """Return a sample's text up to its value without labels, and up to its labels."""
        name = part.stem(self.fmt) + suffix
        if is_plain_metric(name):
            return f"{name} ", f"{name}{{"
        quoted = f'"{escape_value(name)}"'
        return f"{{{quoted}}} ", f"{{{quoted},"

    def _rows(self, block: Block, heads: Mapping[str, tuple[str, str, int]]) -> list[str] | None:
        """Return the lines of each series of a block, made by one formatting call a series.

        None where labels get one name by escaping, or a series comes twice: then the
        lines have to be looked at one by one.
        """
        own = [label_name(name, self.fmt.escaping) for name, _ in block.series[0]]
        names = {name for name, _ in block.series[0]}
        constant = [pair for pair in self.constant if pair[0] not in names]
        row = ""
        for suffix, more in block.shape:
            pairs = [(name, f'{_twice(name)}="%s"') for name in own]
            taken = {name for name, _ in more}
            for name, value in (*more, *(pair for pair in constant if pair[0] not in taken)):
                name = label_name(name, self.fmt.escaping)
                pairs.append((name, _twice(f'{name}="{escape_value(value)}"')))
            if len(dict(pairs)) < len(pairs):
                return None
            bare, opened, _ = heads[suffix]
            text = ",".join([text for _, text in sorted(pairs)])
            row += f"{_twice(opened)}{text}}} %%s\n" if pairs else f"{_twice(bare)}%%s\n"
        order = sorted(range(len(own)), key=own.__getitem__)
        times = len(block.shape)
        text_of = _ValueTexts().__getitem__
        columns = [[text_of(labels[place][1]) for labels in block.series] for place in order]
        values = zip(*columns, strict=True) if columns else [()] * len(block.series)
        rows = [row % (texts * times) for texts in values]
        return rows if len(set(rows)) == len(rows) else None

    def _with_constant(self, labels: Labels) -> Labels:
        if not self.constant:
            return labels
        names = {name for name, _ in labels}
        return (*labels, *(pair for pair in self.constant if pair[0] not in names))

    def _labels(self, labels: Labels) -> str:
        """Write labels in the order of their names, each name once."""
        texts = self._texts
        try:
            pairs = [texts[pair] for pair in labels]
        except KeyError:
            for pair in labels:
                name = label_name(pair[0], self.fmt.escaping)
                texts[pair] = name, f'{name}="{escape_value(pair[1])}"'
            pairs = [texts[pair] for pair in labels]
        if len(pairs) == 1:
            return pairs[0][1]
        pairs.sort()
        for (name, _), (following, _) in pairwise(pairs):
            if name == following:
                # By names alone: a value must not decide which of them is renamed.
                labels = tuple(sorted(labels, key=lambda pair: (texts[pair][0], pair[0])))
                pairs = made_unique([texts[pair] for pair in labels])
                break
        return ",".join([text for _, text in pairs])
