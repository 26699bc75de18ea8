"""No data: a name under which the admin can give permission to see the metrics."""

from __future__ import annotations

from django.db import models


class MetricFamily(models.Model):
    """A metric family; it lives in the processes, and has no table."""

    class Meta:
        """Only viewing can be permitted."""

        managed = False
        default_permissions = ("view",)
        verbose_name = "metric family"
        verbose_name_plural = "metric families"

    def __str__(self) -> str:
        return "metric family"
