"""Options of probes: what is refused, and what is never shown."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from django.core.exceptions import ImproperlyConfigured

from health.conf.backends import parse
from health.prober.outcome import describe
from health.prober.pool import Run
from health.probes import CeleryProbe, HTTPProbe, MCPProbe, Probe, RedisProbe, build

SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    "make",
    [
        lambda: HTTPProbe(f"http://h/?key={SECRET}", headers={"X": SECRET}, auth=("u", SECRET)),
        lambda: RedisProbe(f"redis://:{SECRET}@h/0", options={"password": SECRET}),
        lambda: MCPProbe(url=f"http://h/{SECRET}", headers={"Authorization": f"Bearer {SECRET}"}),
        lambda: HTTPProbe("http://h/", headers={"X": "http://[", "Y": SECRET}),
        lambda: MCPProbe(command=["x", SECRET], env={"TOKEN": SECRET}),
        lambda: build(parse({"b": {"PROBE": print, "OPTIONS": {"sep": SECRET}}})["b"]),
    ],
)
def test_secrets_are_neither_in_repr_nor_in_errors(make: Callable[[], Probe]) -> None:
    """What an option marks as secret is masked in every text."""
    probe = make()
    assert SECRET not in repr(probe)
    run = Run("b", probe, 1.0, error=ValueError(f"cannot use {SECRET} at redis://:{SECRET}@h/0"))
    assert SECRET not in str(describe(run))


def test_configuration_does_not_show_options() -> None:
    """The repr of a configured backend holds no option's value."""
    assert SECRET not in repr(parse({"b": {"PROBE": "a.b", "OPTIONS": {"x": SECRET}}}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HTTPProbe("ftp://h/"), "url must begin with http:// or https://"),
        (lambda: HTTPProbe("http://u:p@h/"), "url must not hold credentials; give them as auth"),
        (lambda: MCPProbe(), "give either url or command"),
        (lambda: MCPProbe(command="a b"), "command must be a list"),
        (lambda: CeleryProbe("a.b", 0), "min_workers must be 1 or more"),
    ],
)
def test_options_that_cannot_be(make: Callable[[], Probe], message: str) -> None:
    """A wrong option is refused with what to mend."""
    with pytest.raises(ValueError, match=message):
        make()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the message says which extra to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ImproperlyConfigured, match=r"django-sentinel-metrics\[redis\]"):
        RedisProbe()
