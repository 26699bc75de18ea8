"""What is wrong with a value of SENTINEL_METRICS_ACCESS."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from django.contrib.auth.hashers import identify_hasher

from metrics.access.networks import UNIX, parse_network
from metrics.access.tokens import is_token

SETTING = "SENTINEL_METRICS_ACCESS"
KEYS = ("BEARER", "BEARER_FILES", "BASIC", "NETWORKS", "TRUSTED_PROXIES")


def problems(setting: object) -> list[str]:
    """Say what is wrong with a value of the setting, each with the path of its key.

    No token and no password is ever repeated.
    """
    if not isinstance(setting, Mapping):
        return [f"{SETTING} must be None or a dictionary with some of {', '.join(KEYS)}"]
    found = [
        f"{SETTING}[{key!r}] is unknown; there are {', '.join(KEYS)}"
        for key in setting
        if key not in KEYS
    ]
    if not any(setting.get(key) for key in ("BEARER", "BEARER_FILES", "BASIC", "NETWORKS")):
        found.append(f"{SETTING} lets everybody in: it names no token, user or network")
    for key in ("BEARER", "BEARER_FILES", "NETWORKS", "TRUSTED_PROXIES"):
        found += _list_problems(key, setting.get(key, ()))
    users = setting.get("BASIC", {})
    if not isinstance(users, Mapping):
        return [*found, f"{SETTING}['BASIC'] must be a dictionary of users and hashed passwords"]
    for user, encoded in users.items():
        if not isinstance(user, str) or not user or ":" in user:
            found.append(f"{SETTING}['BASIC']: a user's name must be a string without a colon")
        elif not _is_hash(encoded):
            found.append(
                f"{SETTING}['BASIC'][{user!r}] must be a hashed password; make one with"
                " django.contrib.auth.hashers.make_password"
            )
    return found


def _list_problems(key: str, items: object) -> Iterable[str]:
    if not isinstance(items, (list, tuple, set, frozenset)):
        yield f"{SETTING}[{key!r}] must be a list, even of one"
        return
    for place, item in enumerate(items):
        path = f"{SETTING}[{key!r}][{place}]"
        if key == "BEARER_FILES":
            if not isinstance(item, (str, os.PathLike)) or not os.path.isabs(item):
                yield f"{path} must be an absolute path"
        elif not isinstance(item, str) or not item.strip():
            yield f"{path} must be a string that is not empty"
        elif key == "BEARER":
            if item != item.strip() or not is_token(item):
                yield f"{path} must be printable ASCII without spaces around it"
        elif not (key == "TRUSTED_PROXIES" and item == UNIX):
            try:
                parse_network(item)
            except ValueError as e:
                proxies = f", or {UNIX!r}" if key == "TRUSTED_PROXIES" else ""
                yield (
                    f"{path} must be an address or a network such as 10.0.0.0/8{proxies}:"
                    f" {item!r} {_why(e)}"
                )


def _why(error: ValueError) -> str:
    if "host bits" in str(error):
        return "has bits set behind its prefix"
    return "is neither"


def _is_hash(encoded: object) -> bool:
    if not isinstance(encoded, str):
        return False
    try:
        identify_hasher(encoded)
    except ValueError:
        return False
    return True
