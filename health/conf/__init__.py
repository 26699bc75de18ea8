"""The settings of the health app: the only place that reads them.

Each is read on access, so that ``override_settings`` works, and each has a system
check in ``health.checks``. What costs more than a look-up is kept until a setting
changes in a test.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from health.conf.values import is_seconds
from metrics.conf import conf as metrics_conf
from metrics.system.process_kind import MAX_LENGTH, WEB_SERVERS, is_kind
from metrics.system.run_dir import RunDir

if TYPE_CHECKING:
    from health.conf.backends import BackendConfig
    from health.conf.webhook import WebhookConfig
    from health.core.policy import Policy

NAMES = frozenset(
    {
        "SENTINEL_APPLICATION_KINDS",
        "SENTINEL_BACKENDS",
        "SENTINEL_DRAIN_SECONDS",
        "SENTINEL_HEALTH_DETAILS",
        "SENTINEL_HEALTH_STORE",
        "SENTINEL_HEALTH_URLCONF",
        "SENTINEL_READINESS",
        "SENTINEL_SHARED_FAILURE",
        "SENTINEL_STUCK_SECONDS",
        "SENTINEL_TRANSITION_DAYS",
        "SENTINEL_WEBHOOK",
    }
)
"""The settings that this app reads; a check of `metrics` warns of others that begin like them."""

FILE = "file"
CACHE_PREFIX = "cache:"


class ReadinessSettings(NamedTuple):
    """The settings that a verdict on the whole board was made with."""

    run_dir: RunDir | None
    readiness_name: str
    shared_failure: str
    backends: Mapping[str, BackendConfig]


class Conf:
    """One property a setting; the default stands beside its name."""

    @property
    def run_dir(self) -> RunDir | None:
        """Directory shared by the processes of one service on one host, or None."""
        return _run_dir()

    @property
    def run_dir_is_auto(self) -> bool:
        """Whether the run directory's name is one that others can guess."""
        return metrics_conf.run_dir_is_auto

    @property
    def paths(self) -> Mapping[str, tuple[str, ...]]:
        """At which paths each endpoint answers (``SENTINEL_PATHS``)."""
        return metrics_conf.paths

    @property
    def run_dir_is_wanted(self) -> bool:
        """Whether processes are to share a directory, though there may be no place for it."""
        return self.run_dir is not None or self.run_dir_is_auto

    @property
    def backends_setting(self) -> Any:
        """``SENTINEL_BACKENDS`` as it stands, for a check that names all that is wrong."""
        return getattr(settings, "SENTINEL_BACKENDS", {})

    @property
    def backends(self) -> Mapping[str, BackendConfig]:
        """What is probed, and how (``SENTINEL_BACKENDS``); see `health.conf.backends`."""
        return _backends()

    @property
    def readiness_name(self) -> str:
        """``SENTINEL_READINESS``: ``any``, ``all``, ``critical`` or a dotted path."""
        from health.conf import readiness

        return readiness.parse_name(getattr(settings, "SENTINEL_READINESS", "any"))

    @property
    def readiness(self) -> Policy:
        """The policy that ``SENTINEL_READINESS`` names."""
        return _policy(self.readiness_name)

    @property
    def shared_failure(self) -> str:
        """What it means when only shared backends fail: ``not_ready`` or ``degraded``.

        ``SENTINEL_SHARED_FAILURE``. With ``degraded`` the service stays ready and says
        so: a database that every host uses must not take every host out at once.
        """
        from health.conf import readiness

        value = getattr(settings, "SENTINEL_SHARED_FAILURE", "not_ready")
        return readiness.parse_shared_failure(value)

    @property
    def health_store(self) -> str:
        """``SENTINEL_HEALTH_STORE``: ``file``, or ``cache:ALIAS`` for a Django cache."""
        value: Any = getattr(settings, "SENTINEL_HEALTH_STORE", FILE)
        if value == FILE:
            return FILE
        if isinstance(value, str) and value.startswith(CACHE_PREFIX):
            alias = value.removeprefix(CACHE_PREFIX)
            if alias in settings.CACHES:
                return value
            raise ImproperlyConfigured(
                f"SENTINEL_HEALTH_STORE names the cache {alias!r}, which is not in CACHES;"
                f" it has {', '.join(settings.CACHES)}"
            )
        raise ImproperlyConfigured(
            f'SENTINEL_HEALTH_STORE must be "file" or "cache:ALIAS", not {value!r}'
        )

    @property
    def drain_seconds(self) -> float:
        """How long readiness is 503 before a stop closes the sockets.

        ``SENTINEL_DRAIN_SECONDS``, 0 or more.
        """
        return _number("SENTINEL_DRAIN_SECONDS", 5, "seconds")

    @property
    def readiness_settings(self) -> ReadinessSettings:
        """What readiness depends on beside the board, at once: it is asked at every probe."""
        return _readiness_settings()

    @property
    def transition_days(self) -> float:
        """How many days transitions are kept in the database; 0 stores none.

        ``SENTINEL_TRANSITION_DAYS``.
        """
        return _number("SENTINEL_TRANSITION_DAYS", 30, "days")

    @property
    def webhook(self) -> WebhookConfig | None:
        """Where changes are sent (``SENTINEL_WEBHOOK``), or None; see `health.prober.webhook`."""
        return _webhook()

    @property
    def stuck_seconds(self) -> float | None:
        """How long a full worker may go without a request's end before it counts as stuck.

        ``SENTINEL_STUCK_SECONDS``, above 0; None: never. When all workers are stuck,
        /health of the health server is 503.
        """
        value: Any = getattr(settings, "SENTINEL_STUCK_SECONDS", 300)
        if value is None:
            return None
        if is_seconds(value) and value > 0:
            return float(value)
        raise ImproperlyConfigured(
            f"SENTINEL_STUCK_SECONDS must be a number of seconds above 0, or None, not {value!r}"
        )

    @property
    def application_kinds(self) -> frozenset[str]:
        """Kinds of processes whose life is the application's.

        ``SENTINEL_APPLICATION_KINDS``, or `WEB_SERVERS`. A process of another kind is no
        sign of life.
        """
        return _application_kinds()

    @property
    def health_urlconf(self) -> str:
        """The health server's URLs (``SENTINEL_HEALTH_URLCONF``), a dotted path of a module."""
        value: Any = getattr(settings, "SENTINEL_HEALTH_URLCONF", "health.server.urls")
        if isinstance(value, str) and value and all(map(str.isidentifier, value.split("."))):
            return value
        raise ImproperlyConfigured(
            f"SENTINEL_HEALTH_URLCONF must be the dotted path of a module, not {value!r}"
        )

    @property
    def health_details(self) -> Any:
        """Who may see the errors of backends (``SENTINEL_HEALTH_DETAILS``), or None for nobody.

        The value as it stands; `health.answers.error_access` knows what it may be.
        """
        return getattr(settings, "SENTINEL_HEALTH_DETAILS", None)


def _number(name: str, default: float, unit: str) -> float:
    value: Any = getattr(settings, name, default)
    if is_seconds(value):
        return float(value)
    raise ImproperlyConfigured(f"{name} must be a number of {unit}, 0 or more, not {value!r}")


@functools.cache
def _webhook() -> WebhookConfig | None:
    from health.conf import webhook  # not in each process that starts

    return webhook.parse(getattr(settings, webhook.SETTING, None))


@functools.cache
def _application_kinds() -> frozenset[str]:
    value: Any = getattr(settings, "SENTINEL_APPLICATION_KINDS", None)
    if value is None:
        return WEB_SERVERS
    if isinstance(value, list | tuple | set | frozenset) and value and all(map(is_kind, value)):
        return frozenset(value)
    raise ImproperlyConfigured(
        "SENTINEL_APPLICATION_KINDS must be None or a list of kinds of processes, as"
        f" 'celery' or 'manage.py db_worker', each of at most {MAX_LENGTH} ASCII characters,"
        f" not {value!r}"
    )


@functools.cache
def _run_dir() -> RunDir | None:
    return metrics_conf.run_dir


@functools.cache
def _backends() -> Mapping[str, BackendConfig]:
    from health.conf import backends

    return backends.parse(conf.backends_setting)


@functools.cache
def _readiness_settings() -> ReadinessSettings:
    return ReadinessSettings(conf.run_dir, conf.readiness_name, conf.shared_failure, conf.backends)


@functools.cache
def _policy(name: str) -> Policy:
    from health.conf import readiness

    return readiness.policy_named(name)


def forget() -> None:
    """Read each setting anew when it is needed next."""
    for cached in (
        _application_kinds,
        _run_dir,
        _backends,
        _policy,
        _webhook,
        _readiness_settings,
    ):
        cached.cache_clear()


def _forget(*, setting: str, **_: object) -> None:
    if setting.startswith("SENTINEL_"):
        forget()


setting_changed.connect(_forget)

conf = Conf()
