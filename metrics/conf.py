"""The settings of the metrics app: the only place that reads them.

Each is read on access, so that ``override_settings`` works, and each has a system
check in ``metrics.checks``.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from metrics import paths
from metrics.buckets import Buckets, are_bounds, parse_bounds, parse_objectives
from metrics.system import process_kind, run_dir
from metrics.system.run_dir import RunDir

NAMES = frozenset(
    {
        "SENTINEL_BUCKETS",
        "SENTINEL_HISTORY",
        "SENTINEL_HTTP_CLIENT_HOSTS",
        "SENTINEL_INSTRUMENT",
        "SENTINEL_LABELS",
        "SENTINEL_METRICS_ACCESS",
        "SENTINEL_METRICS_ENABLED",
        "SENTINEL_METRICS_MAX_SERIES",
        "SENTINEL_OBJECTIVES",
        "SENTINEL_PATHS",
        "SENTINEL_REQUESTS_NOT_MEASURED",
        "SENTINEL_RUN_DIR",
        "SENTINEL_SERVICE",
    }
)
"""The settings that this app reads; a check warns of others that begin like them."""

DEFAULT_MAX_SERIES = 10_000
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r"(?!le$|quantile$|__)[a-zA-Z_][a-zA-Z0-9_]*"
DEFAULT_INSTRUMENTS = ("requests", "database", "cache")
INSTRUMENTS = (
    *DEFAULT_INSTRUMENTS,
    "celery",
    "commands",
    "django_prometheus",
    "http_client",
    "mail",
    "migrations",
    "models",
    "storage",
    "tasks",
    "templates",
)
"""What ``SENTINEL_INSTRUMENT`` may name: each is a module of `metrics.instrument`."""
NO_PLACE = (
    "No directory for temporary files can be written to, so the processes of this service share"
    " nothing: each one counts, probes and drains for itself, in memory. Mount a writable /tmp,"
    " or name a writable directory in SENTINEL_RUN_DIR"
)


class Patterns(tuple[re.Pattern[str], ...]):
    """Regular expressions, each with flags and groups of its own."""

    __slots__ = ()

    def search(self, text: str) -> bool:
        """Whether one of them matches a part of ``text``."""
        return any(pattern.search(text) for pattern in self)


class Conf:
    """One property a setting; the default stands beside its name."""

    @property
    def run_dir(self) -> RunDir | None:
        """Directory shared by the processes of one service on one host, or None.

        ``SENTINEL_RUN_DIR``: a path, ``"auto"`` (a private directory under the
        system's run or temporary directory; None where neither can be written to, and
        in a test run), or None (everything stays inside each process).
        """
        value = self.run_dir_setting
        if value is None:
            return None
        if value == run_dir.AUTO:
            service = self.service
            if process_kind.is_test_run():  # which must not write to a service that runs
                return None
            path = run_dir.auto_path(*self._project, service=service)
            return RunDir(path, is_guessable=True) if path else None
        return RunDir(run_dir.locate(os.path.normpath(value)))

    @property
    def run_dir_setting(self) -> str | Path | None:
        """``SENTINEL_RUN_DIR`` as it stands, if it can be used."""
        value: Any = getattr(settings, "SENTINEL_RUN_DIR", run_dir.AUTO)
        if value is None or value == run_dir.AUTO:
            return value  # type: ignore[no-any-return]
        if isinstance(value, (str, Path)) and _is_path(str(value)):
            return value
        raise ImproperlyConfigured(
            f'SENTINEL_RUN_DIR must be "auto", None or an absolute path, not {value!r}'
        )

    @property
    def run_dir_is_auto(self) -> bool:
        """Whether the run directory's name is one that others can guess."""
        return bool(getattr(settings, "SENTINEL_RUN_DIR", run_dir.AUTO) == run_dir.AUTO)

    @property
    def run_dirs_of_other_users(self) -> list[str]:
        """The automatic run directories that other users have for this very service."""
        if not self.run_dir_is_auto:
            return []
        return run_dir.of_other_users(*self._project, service=self.service)

    @property
    def why_nothing_is_shared(self) -> str:
        """Why there is no run directory, as the beginning of a sentence."""
        if self.run_dir_is_auto and process_kind.is_test_run():
            return "This is a test run"
        if self.run_dir_is_auto:
            return "No directory for temporary files can be written to"
        return "SENTINEL_RUN_DIR is None"

    @property
    def where_others_may_be(self) -> str:
        """Where the service may be that has not been found, as a sentence for people."""
        if others := self.run_dirs_of_other_users:
            return (
                f"Another user's is in {', '.join(others)}: run this command as the"
                " user that the service runs as, or give both one SENTINEL_RUN_DIR."
            )
        return "A service of another user or with another SENTINEL_RUN_DIR has its own."

    @property
    def service(self) -> str:
        """Name of the service (``SENTINEL_SERVICE``), for the automatic run directory.

        Empty: the directory is named after the project and the place of its code.
        """
        value: Any = getattr(settings, "SENTINEL_SERVICE", "")
        if isinstance(value, str) and (not value or run_dir.is_service(value)):
            return value
        raise ImproperlyConfigured(
            "SENTINEL_SERVICE must be a name of 1 to 64 letters, digits and . _ -, beginning"
            f" with a letter or a digit, not {value!r}"
        )

    @property
    def _project(self) -> tuple[str, str]:
        """Name and root folder of the project: the settings' package and its parent."""
        name = str(getattr(settings, "SETTINGS_MODULE", None) or "project")
        package = name.partition(".")[0]
        file = getattr(sys.modules.get(package), "__file__", None)
        if file is None:
            return package, str(Path.cwd())
        path = Path(file)
        return package, str(path.parent.parent if path.stem == "__init__" else path.parent)

    @property
    def metrics_enabled(self) -> bool:
        """Whether GET /metrics answers at all (``SENTINEL_METRICS_ENABLED``)."""
        return self._boolean("SENTINEL_METRICS_ENABLED", True)

    @property
    def history(self) -> bool:
        """Whether the last hour is kept for the admin's pages (``SENTINEL_HISTORY``)."""
        return self._boolean("SENTINEL_HISTORY", True)

    @property
    def metrics_max_series(self) -> int:
        """How many label sets a family may hold before more fold into one.

        ``SENTINEL_METRICS_MAX_SERIES``, over all processes together.
        """
        value: Any = getattr(settings, "SENTINEL_METRICS_MAX_SERIES", DEFAULT_MAX_SERIES)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ImproperlyConfigured(
                f"SENTINEL_METRICS_MAX_SERIES must be a whole number above 0, not {value!r}"
            )
        return value

    @property
    def metrics_access(self) -> Any:
        """Who may scrape (``SENTINEL_METRICS_ACCESS``), or None for everybody.

        The value as it stands; `metrics.access.rules` knows what it may be.
        """
        return getattr(settings, "SENTINEL_METRICS_ACCESS", None)

    @property
    def paths_setting(self) -> Any:
        """``SENTINEL_PATHS`` as it stands, for a check that names all that is wrong."""
        return getattr(settings, paths.SETTING, {})

    @property
    def paths(self) -> Mapping[str, tuple[str, ...]]:
        """At which paths each endpoint of both apps answers (``SENTINEL_PATHS``).

        Those behind the application's own prefix, without a trailing slash.
        """
        value = self.paths_setting
        if found := paths.problems(value):
            raise ImproperlyConfigured("; ".join(found))
        return paths.parse(value)

    @property
    def instrument(self) -> frozenset[str]:
        """What is measured without code (``SENTINEL_INSTRUMENT``): names of `INSTRUMENTS`."""
        value: Any = getattr(settings, "SENTINEL_INSTRUMENT", DEFAULT_INSTRUMENTS)
        if isinstance(value, (list, tuple, set, frozenset)) and all(
            isinstance(name, str) and name in INSTRUMENTS for name in value
        ):
            return frozenset(value)
        raise ImproperlyConfigured(
            f"SENTINEL_INSTRUMENT must be a list of names out of {', '.join(INSTRUMENTS)},"
            f" not {value!r}"
        )

    @property
    def buckets(self) -> Buckets:
        """Upper bounds of histograms of seconds (``SENTINEL_BUCKETS``, ``SENTINEL_OBJECTIVES``)."""
        names = "SENTINEL_BUCKETS", "SENTINEL_OBJECTIVES"
        bounds, objectives = (getattr(settings, name, {}) for name in names)
        try:
            return Buckets(parse_bounds(names[0], bounds), parse_objectives(names[1], objectives))
        except ValueError as e:
            raise ImproperlyConfigured(str(e)) from None

    @property
    def django_prometheus_namespace(self) -> str:
        """Prefix of django-prometheus' names (``PROMETHEUS_METRIC_NAMESPACE``, its own setting)."""
        value: Any = getattr(settings, "PROMETHEUS_METRIC_NAMESPACE", "")
        if value is None:
            return ""
        if isinstance(value, str) and (not value or re.fullmatch(_NAME, value)):
            return value
        raise ImproperlyConfigured(
            "PROMETHEUS_METRIC_NAMESPACE must be the beginning of a metric's name: letters, digits,"
            f" _ and :, not beginning with a digit, not {value!r}"
        )

    @property
    def django_prometheus_buckets(self) -> tuple[float, ...]:
        """Upper bounds of its latencies (``PROMETHEUS_LATENCY_BUCKETS``, its own setting)."""
        default = (0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
        value: Any = getattr(settings, "PROMETHEUS_LATENCY_BUCKETS", (*default, 25.0, 50.0, 75.0))
        infinite = isinstance(value, (list, tuple)) and value[-1:] in ([math.inf], (math.inf,))
        bounds = value[:-1] if infinite else value
        if not are_bounds(bounds):
            raise ImproperlyConfigured(
                "PROMETHEUS_LATENCY_BUCKETS must be a list of numbers of seconds, each larger than"
                f" the one before it, not {value!r}"
            )
        return tuple(map(float, bounds))

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        """Labels of each sample of a scrape that has none of that name (``SENTINEL_LABELS``)."""
        value: Any = getattr(settings, "SENTINEL_LABELS", {})
        if not isinstance(value, Mapping):
            raise ImproperlyConfigured(f"SENTINEL_LABELS must be a dict of texts, not {value!r}")
        for name, text in value.items():
            if not isinstance(name, str) or not re.fullmatch(_LABEL, name):
                raise ImproperlyConfigured(
                    f"SENTINEL_LABELS: {name!r} can be no label: letters, digits and _, not"
                    " beginning with a digit or __, and neither le nor quantile"
                )
            if not isinstance(text, str) or not text or re.search("[\ud800-\udfff]", text):
                raise ImproperlyConfigured(
                    f"SENTINEL_LABELS[{name!r}] must be a text that is not empty, not {text!r}"
                )
        return tuple(sorted(value.items()))

    @property
    def requests_not_measured(self) -> Mapping[str, Patterns | None]:
        """What ``PATHS`` and ``ROUTES`` match are left out (``SENTINEL_REQUESTS_NOT_MEASURED``).

        Both are lists of regular expressions that need match a part only; None if empty.
        """
        value: Any = getattr(settings, "SENTINEL_REQUESTS_NOT_MEASURED", {})
        name = "SENTINEL_REQUESTS_NOT_MEASURED"
        if not isinstance(value, Mapping) or not set(value) <= {"PATHS", "ROUTES"}:
            raise ImproperlyConfigured(f"{name} must be a dict of PATHS and ROUTES, not {value!r}")
        return {key: _any_of(f"{name}[{key!r}]", value.get(key, ())) for key in ("PATHS", "ROUTES")}

    @property
    def http_client_hosts(self) -> frozenset[str] | None:
        """The hosts that outgoing requests are told apart by (``SENTINEL_HTTP_CLIENT_HOSTS``).

        Others are ``_OTHER``. None: the first that a process calls.
        """
        name = "SENTINEL_HTTP_CLIENT_HOSTS"
        value: Any = getattr(settings, name, None)
        if value is None:
            return None
        if not isinstance(value, (list, tuple, set, frozenset)) or not all(map(_is_host, value)):
            raise ImproperlyConfigured(
                f"{name} must be None or a list of host names without scheme, port or path,"
                f" not {value!r}"
            )
        return frozenset(host.lower() for host in value)

    def require_usable(self) -> None:
        """Raise ImproperlyConfigured if one of the settings cannot be used.

        Not for ``SENTINEL_METRICS_ACCESS``: with a broken one everything is served but
        the scrape.
        """
        _ = self.run_dir, self.service, self.metrics_enabled, self.metrics_max_series, self.paths
        _ = self.labels, self.history, self.instrument, self.buckets, self.requests_not_measured
        _ = self.http_client_hosts
        if "django_prometheus" in self.instrument:
            _ = self.django_prometheus_namespace, self.django_prometheus_buckets

    def _boolean(self, name: str, default: bool) -> bool:
        value = getattr(settings, name, default)
        if not isinstance(value, bool):
            raise ImproperlyConfigured(f"{name} must be True or False, not {value!r}")
        return value


def _is_host(value: Any) -> bool:
    """Whether it can be a URL's host: a name, or an address, without a port."""
    if not isinstance(value, str) or not value:
        return False
    return value.count(":") != 1 and not set(value) & set("/[]@ ")


def _is_path(text: str) -> bool:
    """Whether the system can have an absolute path of that name."""
    try:
        return b"\0" not in os.fsencode(text) and os.path.isabs(text)
    except UnicodeEncodeError:  # a half of a pair of surrogates
        return False


def _any_of(name: str, value: Any) -> Patterns | None:
    """Return the expressions of a list, or None if it has none; raises ImproperlyConfigured."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(text, str) for text in value):
        raise ImproperlyConfigured(f"{name} must be a list of regular expressions, not {value!r}")
    patterns = []
    for text in value:
        try:
            patterns.append(re.compile(text))
        except (re.error, OverflowError, RecursionError) as e:
            raise ImproperlyConfigured(f"{name}: {text!r} is no regular expression: {e}") from e
    return Patterns(patterns) if patterns else None


conf = Conf()
