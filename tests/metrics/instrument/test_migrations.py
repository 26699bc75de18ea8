"""What is shown of migrations, without a trace in the connections of the one who asks."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from metrics.instrument.migrations import MigrationsCollector

pytestmark = pytest.mark.django_db(transaction=True)


def shown(collector: MigrationsCollector) -> dict[str, dict[str, float]]:
    """Return the value of each family by alias."""
    return {
        family.name: {sample.labels["connection"]: sample.value for sample in family.samples}
        for family in collector.collect()
    }


def test_what_is_applied_now() -> None:
    """One more or less shows at once."""
    collector = MigrationsCollector()
    before = shown(collector)
    assert before["django_migrations_unapplied"] == {"default": 0}
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("sessions", "0001_initial")
    after = shown(collector)
    assert after["django_migrations_unapplied"] == {"default": 1}
    assert after["django_migrations_applied"]["default"] == (
        before["django_migrations_applied"]["default"] - 1
    )
    recorder.record_applied("sessions", "0001_initial")
    assert shown(collector) == before


def test_no_connection_is_left_or_touched() -> None:
    """It is read beside the thread's own connection, which stays what it was."""
    own = connections["default"]
    own.ensure_connection()
    inner = own.connection
    shown(MigrationsCollector())
    assert connections["default"] is own
    assert own.connection is inner
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own, "execute_wrappers", [_refuse])
        assert shown(MigrationsCollector())["django_migrations_unapplied"] == {"default": 0}


def _refuse(*args: Any) -> None:
    raise AssertionError("a query of the thread's own connection")


class NothingHere:
    """A router that lets no app in."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        """Refuse."""
        return False


@override_settings(DATABASE_ROUTERS=[f"{__name__}.NothingHere"])
def test_a_database_of_no_app_is_not_asked() -> None:
    """As a replica is: its table of migrations, if it has one, is another's."""
    assert set(map(len, shown(MigrationsCollector()).values())) == {0}


@override_settings(
    SENTINEL_INSTRUMENT=["migrations", "django_prometheus"], PROMETHEUS_METRIC_NAMESPACE="shop"
)
def test_the_namespace_of_django_prometheus() -> None:
    """Its names have it, and ours do not."""
    assert [family.name for family in MigrationsCollector().describe()] == [
        "django_migrations_unapplied",
        "django_migrations_applied",
        "shop_django_migrations_unapplied_total",
        "shop_django_migrations_applied_total",
    ]


@pytest.mark.parametrize(("names", "number"), [(["migrations"], 2), (["django_prometheus"], 4)])
def test_names(names: list[str], number: int) -> None:
    """With those of django-prometheus where they are wanted; nobody is asked for them."""
    with override_settings(SENTINEL_INSTRUMENT=names):
        described = [family.name for family in MigrationsCollector().describe()]
        assert len(described) == number
        assert described[:2] == ["django_migrations_unapplied", "django_migrations_applied"]
