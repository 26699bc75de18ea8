"""Certificates that probes verify, and those that they show."""

from __future__ import annotations

import pytest
from urllib3.exceptions import InsecureRequestWarning

from health.probes import HTTPProbe, TCPProbe
from tests.support import misbehaving
from tests.support.misbehaving import Certificates, http_answer
from tests.support.probes import outcome


def test_tls_is_verified(certificates: Certificates) -> None:
    """An unknown authority and an expired certificate fail, unless verification is off."""
    ok = http_answer("200 OK")
    ca_file = str(certificates.ca_file)
    with misbehaving.server(ok, certificates.context("valid")) as port:
        url = f"https://127.0.0.1:{port}/"
        assert outcome(HTTPProbe(url, ca_file=ca_file)) is None
        assert "unable to get local issuer" in str(outcome(HTTPProbe(url)))
        with pytest.warns(InsecureRequestWarning):
            assert outcome(HTTPProbe(url, verify=False)) is None
        assert outcome(TCPProbe("127.0.0.1", port, tls=True, ca_file=ca_file)) is None
        assert "unable to get" in str(outcome(TCPProbe("127.0.0.1", port, tls=True)))
        assert outcome(TCPProbe("127.0.0.1", port, tls=True, verify=False)) is None
        assert outcome(TCPProbe("127.0.0.1", port)) is None
    with misbehaving.server(ok, certificates.context("expired", days=-1)) as port:
        url = f"https://127.0.0.1:{port}/"
        assert "certificate has expired" in str(outcome(HTTPProbe(url, ca_file=ca_file)))
        probe = TCPProbe("127.0.0.1", port, tls=True, ca_file=ca_file)
        assert "certificate has expired" in str(outcome(probe))


def test_tls_client_certificates(certificates: Certificates) -> None:
    """A server that asks for a certificate gets the one of the options."""
    cert, key = certificates.issue("client")
    context = certificates.context("asking", ask_client=True)
    with misbehaving.server(http_answer("200 OK"), context) as port:
        url, ca_file = f"https://127.0.0.1:{port}/", str(certificates.ca_file)
        assert outcome(HTTPProbe(url, ca_file=ca_file)) is not None
        probe = HTTPProbe(url, ca_file=ca_file, client_cert=str(cert), client_key=str(key))
        assert outcome(probe) is None
        both = cert.with_name("both.pem")
        both.write_bytes(cert.read_bytes() + key.read_bytes())
        assert outcome(HTTPProbe(url, ca_file=ca_file, client_cert=both)) is None
        tcp = TCPProbe("127.0.0.1", port, tls=True, ca_file=ca_file, client_cert=both)
        assert outcome(tcp) is None
