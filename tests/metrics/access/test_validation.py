"""What is said of a setting of access that cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from metrics.access.rules import Access
from metrics.access.validation import KEYS, problems
from tests.metrics.access.credentials import HASH

S = "SENTINEL_METRICS_ACCESS"


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("token", [f"{S} must be None or a dictionary with some of {', '.join(KEYS)}"]),
        ({}, [f"{S} lets everybody in: it names no token, user or network"]),
        (
            {"TOKENS": ["a"], "BEARER": ["a"]},
            [
                (
                    f"{S}['TOKENS'] is unknown; there are BEARER, BEARER_FILES, BASIC, NETWORKS,"
                    " TRUSTED_PROXIES"
                )
            ],
        ),
        ({"BEARER": "token"}, [f"{S}['BEARER'] must be a list, even of one"]),
        ({"BEARER": ["a", " "]}, [f"{S}['BEARER'][1] must be a string that is not empty"]),
        (
            {"BEARER": ["secret\n"]},
            [f"{S}['BEARER'][0] must be printable ASCII without spaces around it"],
        ),
        ({"BEARER_FILES": ["token"]}, [f"{S}['BEARER_FILES'][0] must be an absolute path"]),
        (
            {"BASIC": ["a"]},
            [f"{S}['BASIC'] must be a dictionary of users and hashed passwords"],
        ),
        (
            {"BASIC": {"me": "plain password"}},
            [
                (
                    f"{S}['BASIC']['me'] must be a hashed password; make one with"
                    " django.contrib.auth.hashers.make_password"
                )
            ],
        ),
        (
            {"BASIC": {"a:b": HASH}},
            [f"{S}['BASIC']: a user's name must be a string without a colon"],
        ),
        (
            {"NETWORKS": ["10.0.0.1/8"]},
            [
                (
                    f"{S}['NETWORKS'][0] must be an address or a network such as 10.0.0.0/8:"
                    " '10.0.0.1/8' has bits set behind its prefix"
                )
            ],
        ),
        (
            {"BEARER": ["a"], "TRUSTED_PROXIES": ["proxy"]},
            [
                (
                    f"{S}['TRUSTED_PROXIES'][0] must be an address or a network such as 10.0.0.0/8,"
                    " or 'unix': 'proxy' is neither"
                )
            ],
        ),
    ],
)
def test_wrong_settings(setting: Any, expected: list[str]) -> None:
    """Each mistake is named with the path of its key, and no secret is repeated."""
    assert problems(setting) == expected
    if isinstance(setting, dict):
        with pytest.raises(ImproperlyConfigured):
            Access(setting)
