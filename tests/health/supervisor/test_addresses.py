"""Addresses that a server can listen on, and those in each other's way."""

from __future__ import annotations

import pytest

from health.supervisor import addresses


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("fd://99", "Bad file descriptor"),
        ("localhost:http", "'http' is not a valid port number."),
        ("127.0.0.1:99999", "a port is 0 to 65535"),
        ("192.0.2.1:9201", "Cannot assign requested address"),
        ("unix:/no/such/folder/socket", "No such file or directory"),
        ("unix:/etc/hostname", "there is a file that is no socket"),
    ],
)
def test_what_no_server_can_listen_on(address: str, why: str) -> None:
    """The message has the address as it was written, and the reason."""
    with pytest.raises(addresses.AddressError) as error:
        addresses.check_usable(address)
    assert str(error.value) == f"cannot listen on {address}: {why}"


@pytest.mark.parametrize(
    ("address", "others", "expected"),
    [
        ("127.0.0.1:80", [("127.0.0.1", 81), "/run/app.sock", 3], False),
        ("127.0.0.1:80", ["/run/app.sock", ("127.0.0.1", 80)], True),
        ("127.0.0.1:80", [("0.0.0.0", 80)], True),
        ("0.0.0.0:80", [("127.0.0.1", 80)], True),
        ("127.0.0.1:80", [("127.0.0.2", 80)], False),
        ("127.0.0.1:0", [("127.0.0.1", 0)], False),
        ("[::1]:80", [("::1", 80)], True),
        ("unix:/run/app.sock", ["/run/app.sock"], True),
        ("fd://3", [3], True),
    ],
)
def test_which_addresses_are_in_each_others_way(
    address: str, others: list[addresses.Address], expected: bool
) -> None:
    """The same port on the same host or on all; port 0 is any that is free."""
    assert addresses.overlap(address, others) is expected
