"""A Celery application over MEASURED_REDIS whose tasks end in every way."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import django
from celery import Celery
from celery.exceptions import Ignore, Reject

django.setup()

app = Celery("measured", broker=os.environ["MEASURED_REDIS"])
app.conf.broker_connection_retry_on_startup = True
app.conf.task_default_queue = "work"
app.conf.task_ignore_result = True


@app.task
def good() -> None:
    """Do nothing."""


@app.task
def bad() -> None:
    """Raise."""
    raise LookupError("broken")


@app.task(bind=True, max_retries=2)
def again(self: Any) -> None:
    """Fail twice, and then succeed."""
    if self.request.retries < 2:
        raise self.retry(exc=ValueError("not yet"), countdown=0)


@app.task
def ignored() -> None:
    """Have no result."""
    raise Ignore


@app.task
def rejected() -> None:
    """Give the message back, for ever."""
    raise Reject("no", requeue=False)


@app.task
def killed() -> None:
    """Die as by the kernel's hand."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(time_limit=1)
def endless() -> None:
    """Run until something ends it."""
    time.sleep(600)


@app.task
def waits() -> None:
    """Run until there is a file MEASURED_GATE."""
    while not os.path.exists(os.environ["MEASURED_GATE"]):
        time.sleep(0.05)


def send_all() -> None:
    """Send each that ends by itself twice, one that nobody knows, and one that has expired."""
    for task in (good, bad, again, ignored, rejected) * 2:
        task.delay()
    app.send_task("unknown")
    good.apply_async(expires=-1)


def send_fatal() -> None:
    """Send those that cost a process of a pool its life."""
    killed.delay()
    endless.delay()


def send_waiting() -> None:
    """Send two that wait."""
    waits.delay()
    waits.delay()
