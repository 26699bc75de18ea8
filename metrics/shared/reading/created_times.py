"""When each series was made, read from the index when somebody asks for it.

Few ever do, so the times are kept in the file alone, and not in each process's memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from metrics.samples import Labels
from metrics.shared.files.index import HEADER_SIZE
from metrics.shared.files.index_records import FAMILY, RECORD, REMOVED, SERIES, next_record

Times = Mapping[str, Mapping[Labels, float]]
"""Unix seconds by family's name and by labels in the order of their names."""


def read(directory: str | os.PathLike[str]) -> Times:
    """Return when each series of the store in ``directory`` was made; gauges have no such time.

    That is when the first process entered it in the index, or entered it anew after its
    removal. Several definitions of a family count as one, as in a scrape: the earliest
    time is theirs. What is damaged is passed over. The same object is returned until the
    index changes. Raises OSError.
    """
    global _latest
    with open(os.path.join(directory, "index"), "rb") as file:
        info = os.fstat(file.fileno())
        version = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
        known, times = _latest
        if known != version:
            times = _parse(file.read())
            _latest = version, times
    return times


_latest: tuple[tuple[int, ...], Times] = ((), {})


def _parse(data: bytes) -> Times:
    families: dict[int, tuple[str, list[str]]] = {}
    found: dict[tuple[int, tuple[str, ...]], float] = {}
    end = HEADER_SIZE
    while (at := next_record(data, end)) is not None:
        _magic, kind, length, _checksum, _cell = RECORD.unpack_from(data, at)
        start = at + RECORD.size
        fields = json.loads(data[start : start + length])
        if kind == FAMILY:
            name, type_, _mode, labelnames, _bounds, _help = fields
            if type_ != "gauge":
                families[at] = name, labelnames
        elif fields[0] in families:
            series = fields[0], tuple(fields[1])
            if kind == SERIES:  # after damage one may be entered again: it is the same series
                found.setdefault(series, float(fields[2]))
            elif kind == REMOVED:
                found.pop(series, None)
        end = start + length
    times: dict[str, dict[Labels, float]] = {}
    for (family, labelvalues), when in found.items():
        name, labelnames = families[family]
        labels = tuple(sorted(zip(labelnames, labelvalues, strict=False)))
        of = times.setdefault(name, {})
        of[labels] = min(when, of.get(labels, when))
    return times
