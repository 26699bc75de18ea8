"""The settings SENTINEL_READINESS and SENTINEL_SHARED_FAILURE, checked and in types.

Nothing here reads a setting: `health.conf` hands the values in.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from health.conf.values import is_dotted_path
from health.core.policy import DEGRADED, NOT_READY, POLICIES

if TYPE_CHECKING:
    from health.core.policy import Policy

SHARED_FAILURES = (NOT_READY, DEGRADED)


def parse_name(value: Any) -> str:
    """Return what SENTINEL_READINESS says. Raises ImproperlyConfigured."""
    if isinstance(value, str) and (value in POLICIES or is_dotted_path(value)):
        return value
    raise ImproperlyConfigured(
        f"SENTINEL_READINESS must be one of {', '.join(POLICIES)} or a dotted path, not {value!r}"
    )


def parse_shared_failure(value: Any) -> str:
    """Return what SENTINEL_SHARED_FAILURE says. Raises ImproperlyConfigured."""
    if value in SHARED_FAILURES:
        return str(value)
    raise ImproperlyConfigured(
        f"SENTINEL_SHARED_FAILURE must be one of {', '.join(SHARED_FAILURES)}, not {value!r}"
    )


def policy_named(name: str) -> Policy:
    """Return the policy of that name or dotted path. Raises ImproperlyConfigured."""
    if name in POLICIES:
        return POLICIES[name]
    try:
        found = import_string(name)
    except Exception as e:  # a module raises what it likes while it is imported
        raise ImproperlyConfigured(f"SENTINEL_READINESS cannot be imported: {e!r}") from e
    if not callable(found):
        raise ImproperlyConfigured(f"SENTINEL_READINESS names {name}, which cannot be called")
    if inspect.iscoroutinefunction(found):  # what it returns unawaited is true for all backends
        raise ImproperlyConfigured(f"SENTINEL_READINESS names {name}, which must not be async")
    checked: Policy = found
    return checked
