"""What the tests of probes share."""

from __future__ import annotations

import pytest

from tests.support.misbehaving import Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make one authority for all tests here."""
    return Certificates(tmp_path_factory.mktemp("certificates"))
