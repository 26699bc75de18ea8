"""Reads single figures out of a scrape."""

from __future__ import annotations

import re
from collections import Counter

from tests.support import harness

LINE = re.compile(r"(\w+)\{(.*)\} (\S+)")


def figures(port: int, name: str) -> Counter[tuple[str, ...]]:
    """Return the values of a family's samples that are not 0, by the values of their labels."""
    found: Counter[tuple[str, ...]] = Counter()
    for line in harness.get(port, "/metrics").text.splitlines():
        if (match := LINE.fullmatch(line)) and match[1] == name and float(match[3]):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', match[2]))
            found[tuple(labels.values())] += int(float(match[3]))
    return found
