"""Who may see what a backend's error says (``SENTINEL_HEALTH_DETAILS``)."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from health.conf import conf
from metrics.access import validation
from metrics.access.rules import Access, Decision

SETTING = "SENTINEL_HEALTH_DETAILS"

_latest: tuple[object, Access | None] = (None, None)


def may_see(request: HttpRequest) -> bool:
    """Whether this request may be shown details; nobody, unless the setting says who.

    Raises ImproperlyConfigured.
    """
    rules = configured()
    if rules is None:
        return False
    meta = request.META
    judged = rules.judge(
        meta.get("REMOTE_ADDR", ""),
        meta.get("HTTP_X_FORWARDED_FOR", ""),
        meta.get("HTTP_AUTHORIZATION", ""),
    )
    return judged is Decision.GRANTED


def configured() -> Access | None:
    """Return the rules of the setting, which are those of SENTINEL_METRICS_ACCESS.

    Raises ImproperlyConfigured with the path of every key that is wrong.
    """
    global _latest
    setting = conf.health_details
    if setting is None:
        return None
    if _latest[0] is not setting:
        if found := problems(setting):
            raise ImproperlyConfigured("; ".join(found))
        _latest = setting, Access(setting)
    return _latest[1]


def problems(setting: object) -> list[str]:
    """Say what is wrong with a value of the setting, each with the path of its key."""
    return [text.replace(validation.SETTING, SETTING) for text in validation.problems(setting)]
