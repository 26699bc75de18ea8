"""The models and their migrations."""

from __future__ import annotations

import pytest
from django.db import connection


@pytest.mark.django_db
def test_the_migrations_are_complete() -> None:
    """The models are what the migrations make."""
    from django.core.management import call_command

    call_command("makemigrations", "sentinel_health", check=True, dry_run=True, verbosity=0)
    assert "sentinel_health_transition" in connection.introspection.table_names()
