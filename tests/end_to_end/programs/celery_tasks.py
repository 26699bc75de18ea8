"""A Celery application whose queue is the folder CELERY_QUEUE."""

from __future__ import annotations

import os

import django
from celery import Celery

django.setup()

from metrics.registry import METRICS  # noqa: E402 - the store is installed by then

queue = os.environ["CELERY_QUEUE"]
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": queue,
    "data_folder_out": queue,
    "control_folder": queue,
}
app.conf.broker_connection_retry_on_startup = True


def count() -> None:
    """Count once."""
    METRICS.record_request("task", "success", 0.25)


work = app.task(count, ignore_result=True)
