"""Measures what is written of each model: rows that are inserted, updated and deleted.

What is saved comes by Django's signal. What is deleted comes from the deletion's own result:
a listener to ``post_delete`` would have Django fetch each row that it could delete unseen.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

from django.apps import apps
from django.db.models.deletion import Collector
from django.db.models.signals import post_save
from prometheus_client import Counter

from metrics.instrument.outermost import Method, measure
from metrics.registries import REGISTRY

logger = logging.getLogger(__name__)

WRITES = Counter(
    "django_model_writes_total",
    "Total number of rows of models that were inserted, updated and deleted one by one,"
    " and by deletions of many",
    ["model", "operation"],
    registry=REGISTRY,
)


def install() -> None:
    """Count what this process writes from now on."""
    post_save.connect(_saved, dispatch_uid=__name__)
    measure(Collector, ("delete",), _measured)


def _saved(sender: Any, created: bool | None = None, **kwargs: Any) -> None:
    if created is None:  # it is the service that sends Django's signal: nothing was saved
        return
    try:
        _of(sender._meta.concrete_model._meta.label, "insert" if created else "update").inc()
    except Exception:
        logger.exception("writes of %r are not counted", sender)


def _measured(delete: Method, name: str) -> Method:
    @functools.wraps(delete)
    def measured(self: Any) -> Any:
        result = delete(self)
        try:
            for label, number in result[1].items():
                if number and (model := _counted_as(label)):
                    _of(model, "delete").inc(number)
        except Exception:
            logger.exception("what is deleted is not counted")
        return result

    return measured


@functools.lru_cache(maxsize=10_000)
def _counted_as(label: str) -> str:
    """Return the label of the model that a proxy stands for; nothing for a link.

    That is the table of a many-to-many field, whose rows come without a signal.
    """
    try:
        options = apps.get_model(label)._meta
    except LookupError:  # a migration's own, of an application that is gone
        return label
    return "" if options.auto_created else str(options.concrete_model._meta.label)


@functools.lru_cache(maxsize=10_000)
def _of(model: str, operation: str) -> Any:
    return WRITES.labels(model, operation)
