"""The file of a board: what is sealed is read, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from health.core import board_file
from health.core.backend import BackendHealth
from health.core.document import Document

SEALED = board_file.seal(Document(backends={"db": BackendHealth("db", True, 1.0, 2.0)}))


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_no_flipped_byte_goes_unnoticed(data: st.DataObject) -> None:
    """A board with random bytes in it, or cut short, is refused and not half believed."""
    content = SEALED
    if data.draw(st.booleans()):
        broken = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        at = data.draw(st.integers(0, len(content) - 1))
        junk = data.draw(st.binary(min_size=1, max_size=20))
        broken = content[:at] + junk + content[at + len(junk) :]
    if broken != content:
        with pytest.raises(ValueError, match=r"."):
            board_file.unseal(broken)
