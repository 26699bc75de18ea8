"""Who may scrape: bearer tokens, basic auth and networks (``SENTINEL_METRICS_ACCESS``).

Follows RFC 6750 and RFC 7617 for the credentials. Whoever is turned away does not
learn which part of his request was wrong, nor does the time of the answer tell.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from django.contrib.auth.hashers import check_password, identify_hasher
from django.core.exceptions import ImproperlyConfigured

from metrics.conf import conf
from metrics.tokens import TokenFile, digest, is_token

SETTING = "SENTINEL_METRICS_ACCESS"
KEYS = ("BEARER", "BEARER_FILES", "BASIC", "NETWORKS", "TRUSTED_PROXIES")
UNIX = "unix"
"""Stands among the trusted proxies for a peer without an address: a Unix socket."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Verdict(Enum):
    """What to answer: the scrape, 401, 403, or 503 where too many passwords are checked."""

    GRANTED = 200
    UNAUTHORIZED = 401
    FORBIDDEN = 403
    BUSY = 503


class Access:
    """The rules of ``SENTINEL_METRICS_ACCESS``, ready to be asked.

    A client must come from one of ``NETWORKS``, if there are any, and must bring one
    of the bearer tokens or a user's password, if there are any. Raises
    ImproperlyConfigured with the path of every key that is wrong.
    """

    def __init__(self, setting: Mapping[str, Any]) -> None:
        if found := problems(setting):
            raise ImproperlyConfigured("; ".join(found))
        self._tokens = frozenset(digest(token) for token in setting.get("BEARER", ()))
        self._files = [TokenFile(path) for path in setting.get("BEARER_FILES", ())]
        self._users: dict[str, str] = dict(setting.get("BASIC", {}))
        self._networks = [_network(text) for text in setting.get("NETWORKS", ())]
        proxies = list(setting.get("TRUSTED_PROXIES", ()))
        self._unix_is_proxy = UNIX in proxies
        self._proxies = [_network(text) for text in proxies if text != UNIX]
        self._passwords = _PasswordMemory()

    @property
    def challenge(self) -> str:
        """The WWW-Authenticate header that goes with 401."""
        schemes = []
        if self._tokens or self._files:
            schemes.append('Bearer realm="metrics"')
        if self._users:
            schemes.append('Basic realm="metrics", charset="UTF-8"')
        return ", ".join(schemes)

    def judge(self, peer: str, forwarded_for: str, authorization: str) -> Verdict:
        """Decide about a request by its peer's address and two of its headers.

        ``peer`` is empty for a Unix socket; a header that is missing is empty.
        """
        if self._networks and not _within(self._client(peer, forwarded_for), self._networks):
            return Verdict.FORBIDDEN
        if not (self._tokens or self._files or self._users):
            return Verdict.GRANTED
        scheme, _, credentials = authorization.strip().partition(" ")
        granted = False
        try:
            if scheme.lower() == "bearer":
                granted = self._knows_token(credentials.strip())
            elif scheme.lower() == "basic":
                granted = self._knows_user(credentials.strip())
        except TooManyPasswordsError:
            return Verdict.BUSY
        return Verdict.GRANTED if granted else Verdict.UNAUTHORIZED

    def _client(self, peer: str, forwarded_for: str) -> Address | None:
        """Return who asks; behind trusted proxies, whom the first of them names."""
        address = _address(peer)
        trusted = _within(address, self._proxies) or (not peer and self._unix_is_proxy)
        hops = [hop for hop in forwarded_for.split(",") if hop.strip()]
        while trusted and hops:
            address = _address(hops.pop())
            trusted = _within(address, self._proxies)
        return address

    def _knows_token(self, token: str) -> bool:
        asked = digest(token)
        known = [*self._tokens, *(one for file in self._files for one in file.digests())]
        # Each is compared, so that the time does not tell which one came close.
        return sum(hmac.compare_digest(asked, one) for one in known) > 0

    def _knows_user(self, credentials: str) -> bool:
        if not self._users:
            return False
        try:
            text = base64.b64decode(credentials, validate=True).decode()
        except (binascii.Error, ValueError):
            return False
        user, colon, password = text.partition(":")
        known = self._users.get(user) if colon else None
        # A user who does not exist costs as much as one who does.
        encoded = known or next(iter(self._users.values()))
        is_right = self._passwords.check(user, password, encoded, remember=known is not None)
        return is_right and known is not None


_latest: tuple[object, Access | None] = (None, None)


def configured() -> Access | None:
    """Return the rules of the setting, or None if everybody may scrape.

    Raises ImproperlyConfigured.
    """
    global _latest
    setting = conf.metrics_access
    if setting is None:
        return None
    known, access = _latest
    if access is None or known is not setting:
        access = Access(setting)
        _latest = (setting, access)
    return access


class TooManyPasswordsError(Exception):
    """So many passwords are being checked just now that this one was not."""


class _PasswordMemory:
    """Check passwords against hashes, and remember the right ones under a secret of its own.

    A hash is slow on purpose, and a scraper sends the same password every time. What is
    wrong is slow each time, for each name: a quick answer would tell which names there
    are. One check runs at a time and few wait for it, so that wrong passwords can keep
    neither every core busy nor every thread, some of which probes need.
    """

    LIMIT = 256
    MAX_AT_ONCE = 3

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(self.MAX_AT_ONCE)

    def check(self, user: str, password: str, encoded: str, *, remember: bool) -> bool:
        """Whether ``password`` is the one that ``encoded`` was made from, asked for ``user``.

        What is right is remembered for this user, if ``remember`` says so. Raises
        TooManyPasswordsError where others are being checked and waited for already.
        """
        text = f"{user}\0{encoded}\0{password}".encode()
        mark = hmac.digest(self._key, text, "sha256")
        if mark in self._right:
            return True
        if not self._places.acquire(blocking=False):
            raise TooManyPasswordsError
        try:
            with self._lock:
                if mark in self._right:
                    return True
                if not check_password(password, encoded):
                    return False
                if remember:
                    if len(self._right) >= self.LIMIT:
                        self._right.clear()
                    self._right.add(mark)
                return True
        finally:
            self._places.release()


def problems(setting: object) -> list[str]:
    """Say what is wrong with a value of the setting, each with the path of its key.

    No token and no password is ever repeated.
    """
    if not isinstance(setting, Mapping):
        return [f"{SETTING} must be None or a dictionary"]
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
        yield f"{SETTING}[{key!r}] must be a list"
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
                _network(item)
            except ValueError:
                yield f"{path} must be an address or a network such as 10.0.0.0/8, not {item!r}"


def _is_hash(encoded: object) -> bool:
    if not isinstance(encoded, str):
        return False
    try:
        identify_hasher(encoded)
    except ValueError:
        return False
    return True


def _network(text: str) -> Network:
    """Parse a network; IPv4 in IPv6's clothes becomes IPv4, as addresses do."""
    network = ipaddress.ip_network(text.strip())
    first = getattr(network.network_address, "ipv4_mapped", None)
    if first is None or network.prefixlen < 96:
        return network
    return ipaddress.IPv4Network((first, network.prefixlen - 96))


def _address(text: str) -> Address | None:
    """Parse an address, with a port perhaps; IPv4 in IPv6's clothes becomes IPv4."""
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


def _within(address: Address | None, networks: Iterable[Network]) -> bool:
    return address is not None and any(address in network for network in networks)
