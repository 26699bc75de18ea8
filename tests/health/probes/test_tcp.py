"""The TCP probe."""

from __future__ import annotations

from health.probes import TCPProbe
from tests.support import misbehaving
from tests.support.probes import outcome


def test_tcp() -> None:
    """Something listens or it does not."""
    with misbehaving.server(misbehaving.silence) as port:
        assert outcome(TCPProbe("127.0.0.1", port)) is None
    assert str(outcome(TCPProbe("127.0.0.1", port))).startswith("ConnectionRefusedError")
