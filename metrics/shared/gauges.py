"""What a gauge's multiprocess mode means: how the values of several processes merge."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from metrics.shared.files.catalog import LIVING_ONLY, FamilyRecord


def merge_gauge(mode: str, entries: Iterable[tuple[float, float]]) -> float:
    """Merge (value, when set) pairs by a gauge's mode; those never set do not count."""
    given = [(when, value) for value, when in entries if when]
    if not given:
        return 0.0
    match mode.removeprefix("live"):
        case "min":
            return min(value for _when, value in given)
        case "max":
            return max(value for _when, value in given)
        case "sum":
            return sum(value for _when, value in given)  # fsum raises on two infinities
        case _:
            return max(given, key=lambda entry: entry[0])[1]


def gauge_entries(
    family: FamilyRecord,
    cells: Iterable[int],
    images: Mapping[int, Sequence[float]],
    living: Container[int],
    removed_at: float,
) -> tuple[dict[int, float], list[tuple[float, float]]]:
    """Return a gauge series' value by worker, and all (value, when) pairs to merge.

    What was set at or before ``removed_at`` is gone; so is what a dead process set
    last, if only the living count in its mode.
    """
    live_only = family.key.mode in LIVING_ONLY
    by_worker: dict[int, float] = {}
    entries: list[tuple[float, float]] = []
    for number, image in images.items():
        if live_only and number not in living:
            continue
        for cell in cells:
            if image[cell + 1] > removed_at:
                by_worker[number] = image[cell]
                entries.append((image[cell], image[cell + 1]))
            if not live_only and image[cell + 3] > removed_at:
                entries.append((image[cell + 2], image[cell + 3]))
    return by_worker, entries
