"""Who may scrape: bearer tokens, basic auth and networks (``SENTINEL_METRICS_ACCESS``).

Follows RFC 6750 and RFC 7617 for the credentials. A client that is refused does
not learn which part of its request was wrong, not even from the time of the answer.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from enum import Enum
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from metrics.access.networks import UNIX, Address, is_within, parse_address, parse_network
from metrics.access.passwords import PasswordMemory, TooManyPasswordsError
from metrics.access.tokens import TokenFile, digest
from metrics.access.validation import problems
from metrics.conf import conf


class Decision(Enum):
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
        self._networks = [parse_network(text) for text in setting.get("NETWORKS", ())]
        proxies = list(setting.get("TRUSTED_PROXIES", ()))
        self._unix_is_proxy = UNIX in proxies
        self._proxies = [parse_network(text) for text in proxies if text != UNIX]
        self._passwords = PasswordMemory()

    @property
    def challenge(self) -> str:
        """The WWW-Authenticate header that goes with 401."""
        schemes = []
        if self._tokens or self._files:
            schemes.append('Bearer realm="metrics"')
        if self._users:
            schemes.append('Basic realm="metrics", charset="UTF-8"')
        return ", ".join(schemes)

    def judge(self, peer: str, forwarded_for: str, authorization: str) -> Decision:
        """Decide about a request by its peer's address and two of its headers.

        ``peer`` is empty for a Unix socket; a header that is missing is empty.
        """
        if self._networks and not is_within(self._client(peer, forwarded_for), self._networks):
            return Decision.FORBIDDEN
        if not (self._tokens or self._files or self._users):
            return Decision.GRANTED
        scheme, _, credentials = authorization.strip().partition(" ")
        granted = False
        try:
            if scheme.lower() == "bearer":
                granted = self._knows_token(credentials.strip())
            elif scheme.lower() == "basic":
                granted = self._knows_user(credentials.strip())
        except TooManyPasswordsError:
            return Decision.BUSY
        return Decision.GRANTED if granted else Decision.UNAUTHORIZED

    def _client(self, peer: str, forwarded_for: str) -> Address | None:
        """Return the client's address, which trusted proxies name where there are some."""
        address = parse_address(peer)
        trusted = is_within(address, self._proxies) or (not peer and self._unix_is_proxy)
        hops = [hop for hop in forwarded_for.split(",") if hop.strip()]
        while trusted and hops:
            address = parse_address(hops.pop())
            trusted = is_within(address, self._proxies)
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
