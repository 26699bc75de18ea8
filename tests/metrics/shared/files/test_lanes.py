"""Sizes of lanes."""

from __future__ import annotations

import pytest

from metrics.shared.files.lanes import FIRST_CELLS, HEADER_SIZE, SPARE_CELLS, size_for


@pytest.mark.parametrize("cells", [0, 1, FIRST_CELLS, 1532, 1533, 1536, 131_000, 200_000])
def test_lane_sizes_hold_what_they_are_for(cells: int) -> None:
    """A lane of the size for some cells has room for them and the spare ones."""
    assert (size_for(cells) - HEADER_SIZE) // 8 >= cells + SPARE_CELLS
    assert size_for(cells) % 4096 == 0
