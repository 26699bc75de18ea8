"""What the health app stores, and what its admin pages need a model for."""

from __future__ import annotations

from django.db import models

SEE_ERRORS = "view_errors"
"""The permission to see what a backend's error says."""


class Overview(models.Model):
    """Stands for the overview in the admin and its permission; it has no table.

    The names begin with a space, which HTML does not show: the admin's index sorts by them.
    """

    class Meta:
        """Only viewing can be permitted."""

        managed = False
        default_permissions = ("view",)
        verbose_name = " overview"
        verbose_name_plural = " Overview"

    def __str__(self) -> str:
        return "overview"


class Transition(models.Model):
    """One change of a backend's state; ``was`` is empty when it was not known before."""

    backend = models.CharField(max_length=100, db_index=True)
    was = models.BooleanField(null=True)
    healthy = models.BooleanField()
    at = models.DateTimeField(db_index=True)
    error = models.TextField(blank=True)

    class Meta:
        """Newest first; nobody edits history."""

        ordering = ("-at", "-id")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.backend} became {'healthy' if self.healthy else 'unhealthy'}"


class Backend(models.Model):
    """Stands for the board in the admin and its permissions; it has no table."""

    class Meta:
        """Two permissions: the page, and the errors on it."""

        managed = False
        default_permissions = ("view",)
        permissions = ((SEE_ERRORS, "Can see what the errors of backends say"),)

    def __str__(self) -> str:
        return "backend"
