"""TLS for probes: contexts made from PEM files, anew for each check."""

from __future__ import annotations

import ssl

from health.probes.options import FilePath


def demand_cert(client_cert: FilePath | None, client_key: FilePath | None) -> None:
    """Raise ValueError for a key that no certificate goes with."""
    if client_key is not None and client_cert is None:
        raise ValueError("client_key needs client_cert")


def tls_context(
    verify: bool,
    ca_file: FilePath | None,
    client_cert: FilePath | None = None,
    client_key: FilePath | None = None,
) -> ssl.SSLContext:
    """Return a context, read anew each time: certificates are renewed under a running service."""
    context = ssl.create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert is not None:
        context.load_cert_chain(client_cert, client_key)
    return context
