"""What kind of process a command line is."""

from __future__ import annotations

import pytest

from metrics.system import process_kind


@pytest.fixture(autouse=True)
def undeclared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test declared."""
    monkeypatch.setattr(process_kind, "_declared", None)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/venv/bin/gunicorn", "-c", "gunicorn.conf.py"], "gunicorn"),
        (["/site-packages/gunicorn/__main__.py", "app:application"], "gunicorn"),
        (["/venv/bin/celery", "-A", "project", "worker"], "celery"),
        (["/site-packages/celery/__main__.py", "worker"], "celery"),
        (["manage.py", "dump_metrics", "--format", "json"], "manage.py dump_metrics"),
        (["/srv/app/manage.py", "--verbosity", "migrate"], "manage.py migrate"),
        (["/venv/bin/django-admin", "migrate"], "manage.py migrate"),
        (["/site-packages/django/__main__.py", "migrate"], "manage.py migrate"),
        (["manage.py"], "manage.py"),
        (["manage.py", "a" * 40], "manage.py " + "a" * 22),
        (["/venv/bin/waitress-serve", "project.wsgi:application"], "waitress"),
        (["/site-packages/waitress/__main__.py", "project.wsgi:application"], "waitress"),
        (["mod_wsgi"], "mod_wsgi"),
        (["server.py", "--port", "80"], "server"),
        (["/venv/bin/pytest"], "pytest"),
        (["tools/import.py"], "import"),
        (["/opt/größe.py"], "gr??e"),
        (["-c"], "python"),
        ([""], "python"),
        ([], "python"),
    ],
)
def test_kind_of_a_command_line(argv: list[str], expected: str) -> None:
    """A process is named by its script, a management command by its name."""
    assert process_kind.process_kind(argv) == expected


def test_declared_kind_comes_first() -> None:
    """A server that knows better than its command line says so."""
    process_kind.declare_process_kind("health_server")
    assert process_kind.process_kind() == "health_server"
