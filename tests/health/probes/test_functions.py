"""Functions as probes, and the checks of django-health-check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from health.conf.backends import parse
from health.probes import build
from tests.support.probes import outcome


@pytest.mark.parametrize(
    ("path", "options", "well"),
    [
        ("health_check.checks.Cache", {}, True),
        ("health_check.checks.DNS", {"hostname": "no-such-host.invalid"}, False),
        ("health_check.checks.Storage", {"alias": "default"}, True),
    ],
)
def test_django_health_check(
    path: str, options: dict[str, Any], well: bool, tmp_path: Path
) -> None:
    """A check of django-health-check 4 is a probe by its dotted path, sync or async."""
    (backend,) = parse({"b": {"PROBE": path, "OPTIONS": options}}).values()
    with override_settings(MEDIA_ROOT=str(tmp_path)):
        assert (outcome(build(backend)) is None) is well


async def _async_check() -> bool:
    return False


def test_callable_may_be_a_coroutine_function() -> None:
    """A coroutine function is run to its end."""
    (backend,) = parse({"b": {"PROBE": _async_check}}).values()
    assert outcome(build(backend)) == "the check said no"


def lazy() -> Iterator[bool]:
    """Yield instead of returning."""
    yield False


async def lazy_async() -> Any:
    """Yield instead of returning."""
    yield False


@pytest.mark.parametrize("probe", [lazy, lazy_async])
def test_a_generator_is_no_check(probe: Any) -> None:
    """To call a generator function runs none of it, which would always look well."""
    with pytest.raises(ImproperlyConfigured, match="is a generator"):
        build(parse({"b": {"PROBE": probe}})["b"])
