"""The settings of the metrics app: the only place that reads them.

Each is read on access, so that ``override_settings`` works, and each has a system
check in ``metrics.checks``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from metrics import paths, rundir

DEFAULT_MAX_SERIES = 10_000


class Conf:
    """One property a setting; the default stands beside its name."""

    @property
    def run_dir(self) -> Path | None:
        """Directory shared by the processes of one service on one host, or None.

        ``SENTINEL_RUN_DIR``: a path, ``"auto"`` (a private directory under the
        system's run or temporary directory), or None (everything stays inside
        each process).
        """
        value = getattr(settings, "SENTINEL_RUN_DIR", rundir.AUTO)
        if value is None:
            return None
        if value == rundir.AUTO:
            return rundir.auto_path(*self._project)
        if isinstance(value, (str, Path)) and str(value) and Path(value).is_absolute():
            return Path(value)
        raise ImproperlyConfigured(
            f'SENTINEL_RUN_DIR must be "auto", None or an absolute path, not {value!r}'
        )

    @property
    def run_dir_is_auto(self) -> bool:
        """Whether the run directory's name is one that others can guess."""
        return bool(getattr(settings, "SENTINEL_RUN_DIR", rundir.AUTO) == rundir.AUTO)

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

        The value as it stands; `metrics.access` knows what it may be.
        """
        return getattr(settings, "SENTINEL_METRICS_ACCESS", None)

    @property
    def paths(self) -> Mapping[str, tuple[str, ...]]:
        """At which paths each endpoint of both apps answers (``SENTINEL_PATHS``).

        Those behind the application's own prefix, without a trailing slash.
        """
        value: Any = getattr(settings, paths.SETTING, {})
        if found := paths.problems(value):
            raise ImproperlyConfigured("; ".join(found))
        return paths.parse(value)

    def require_usable(self) -> None:
        """Raise ImproperlyConfigured if one of the settings cannot be used.

        Not for ``SENTINEL_METRICS_ACCESS``: with a broken one everything is served but
        the scrape.
        """
        _ = self.run_dir, self.metrics_enabled, self.metrics_max_series, self.paths

    def _boolean(self, name: str, default: bool) -> bool:
        value = getattr(settings, name, default)
        if not isinstance(value, bool):
            raise ImproperlyConfigured(f"{name} must be True or False, not {value!r}")
        return value


conf = Conf()
