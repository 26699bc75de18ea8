"""Addresses and networks, IPv4 in IPv6 among them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

UNIX = "unix"
"""Stands among the trusted proxies for a peer without an address: a Unix socket."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_network(text: str) -> Network:
    """Parse a network; IPv4 mapped into IPv6 becomes IPv4, as addresses do."""
    network = ipaddress.ip_network(text.strip())
    first = getattr(network.network_address, "ipv4_mapped", None)
    if first is None or network.prefixlen < 96:
        return network
    return ipaddress.IPv4Network((first, network.prefixlen - 96))


def parse_address(text: str) -> Address | None:
    """Parse an address, with a port perhaps; IPv4 mapped into IPv6 becomes IPv4."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if isinstance(mapped, ipaddress.IPv4Address) else address


def is_within(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether ``address`` is one, and lies in one of ``networks``."""
    return address is not None and any(address in network for network in networks)
