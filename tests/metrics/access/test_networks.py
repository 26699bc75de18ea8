"""Addresses from which one may scrape."""

from __future__ import annotations

import pytest

from metrics.access.rules import Access, Decision
from tests.metrics.access.credentials import FORBIDDEN, GRANTED, judge


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "decision"),
    [
        ("10.1.2.3", "", GRANTED),
        ("11.1.2.3", "", FORBIDDEN),
        ("::ffff:10.1.2.3", "", GRANTED),
        ("fd00::7", "", GRANTED),
        ("fd01::7", "", FORBIDDEN),
        ("", "", FORBIDDEN),
        ("nonsense", "", FORBIDDEN),
        # A header from somebody who is no trusted proxy counts for nothing.
        ("11.1.2.3", "10.1.2.3", FORBIDDEN),
        ("10.1.2.3", "11.1.2.3", GRANTED),
        # Behind a trusted proxy the last hop that is none counts.
        ("192.168.0.1", "10.1.2.3", GRANTED),
        ("192.168.0.1", "10.1.2.3, 192.168.0.2", GRANTED),
        ("192.168.0.1", "10.1.2.3, 11.0.0.1", FORBIDDEN),
        ("192.168.0.1", "10.1.2.3:4711", GRANTED),
        ("192.168.0.1", '"[fd00::7]:4711"', GRANTED),
        ("192.168.0.1", "nonsense", FORBIDDEN),
        ("192.168.0.1", "10.1.2.3, nonsense", FORBIDDEN),
        ("192.168.0.1", "", FORBIDDEN),
    ],
)
def test_networks(peer: str, forwarded_for: str, decision: Decision) -> None:
    """The peer's address decides, or what proxies that are named in the setting forward."""
    access = Access(
        {"NETWORKS": ["10.0.0.0/8", "fd00::/16"], "TRUSTED_PROXIES": ["192.168.0.0/24"]}
    )
    assert access.judge(peer, forwarded_for, "") is decision


@pytest.mark.parametrize(
    ("network", "peer", "decision"),
    [
        ("::ffff:10.0.0.0/104", "10.1.2.3", GRANTED),
        ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", GRANTED),
        ("::ffff:10.0.0.0/104", "11.0.0.1", FORBIDDEN),
        ("::ffff:10.1.2.3", "10.1.2.3", GRANTED),
        ("10.1.2.3", "::ffff:a01:203", GRANTED),
        ("::/0", "10.1.2.3", FORBIDDEN),
        ("0.0.0.0/0", "fd00::1", FORBIDDEN),
        ("fe80::/10", "fe80::1%eth0", GRANTED),
        ("::1", "0:0:0:0:0:0:0:1", GRANTED),
    ],
)
def test_ways_to_write_an_address(network: str, peer: str, decision: Decision) -> None:
    """IPv4 is IPv4, however it is dressed, in the setting and on the wire."""
    assert judge({"NETWORKS": [network]}, peer=peer) is decision


def test_proxy_at_a_unix_socket() -> None:
    """A peer without an address is trusted to forward only if the setting says so."""
    setting = {"NETWORKS": ["10.0.0.0/8"]}
    assert Access(setting).judge("", "10.1.2.3", "") is FORBIDDEN
    trusting = Access({**setting, "TRUSTED_PROXIES": ["unix"]})
    assert trusting.judge("", "10.1.2.3", "") is GRANTED
