"""A document and its JSON."""

from __future__ import annotations

from health.core import board_file
from health.core.backend import BackendHealth
from health.core.document import Document, Event


def test_documents_survive_their_json() -> None:
    """What is written is read back equal, whatever it holds."""
    name = "a\u2028\N{GRINNING FACE}"
    backend = BackendHealth(name, True, 1.0, 2.0, tags=("x",), scope="shared")
    document = Document(
        backends={name: backend},
        events=(Event(1, "a", None, True, 3.0, "e"),),
        verdict=("ready", None),
        sequence=1,
    )
    assert board_file.unseal(board_file.seal(document)) == document
