"""Probes that are somebody else's code: a callable, or a check of django-health-check 4."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async

from health.connections import close_connections
from health.probes.base import Probe, ProbeError


@dataclass
class CallableProbe(Probe):
    """Calls ``function(**options)``; False, or whatever it raises, means that it failed.

    A coroutine function runs in an event loop of its own.
    """

    function: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    def check(self, timeout: float) -> None:
        """Call the function once."""
        answer = self.function(**self.options)
        if inspect.isawaitable(answer):
            answer = asyncio.run(_within(answer, timeout))
        if answer is False:
            raise ProbeError("the check said no")


@dataclass
class HealthCheckProbe(Probe):
    """Runs a `health_check.base.HealthCheck` of django-health-check 4, made anew each time."""

    check_class: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    def check(self, timeout: float) -> None:
        """Make the check, run it, and raise what it raises."""
        answer = self.check_class(**self.options).run()
        if inspect.isawaitable(answer):
            asyncio.run(_within(answer, timeout))


def is_health_check(target: object) -> bool:
    """Whether ``target`` is a check class of django-health-check, which need not be installed."""
    base = getattr(sys.modules.get("health_check.base"), "HealthCheck", None)
    return base is not None and isinstance(target, type) and issubclass(target, base)


async def _within(awaitable: Any, timeout: float) -> Any:
    """Await as a request would: what it does by the ORM runs in a thread of this call alone.

    Else that is one thread for all async code of the process, in which connections stay,
    and in which one that hangs would keep all others waiting.
    """
    async with ThreadSensitiveContext():
        try:
            async with asyncio.timeout(timeout):
                return await awaitable
        finally:
            await sync_to_async(close_connections)()
