"""What the package requires: what the apps import, from the oldest to the newest version."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = {
    "celery": "celery",
    "health_check": "django-health-check",
    "psycopg_pool": "psycopg-pool",
    "redis": "redis",
    "uwsgi": "uwsgi",
    "uwsgidecorators": "uwsgi",
}
"""What the apps import inside a function, for those who have it: module to distribution."""


def requirements(lines: list[str]) -> dict[str, str]:
    """Return the version specifiers by distribution, as pip would read ``lines``."""
    found = {}
    for line in lines:
        if text := line.partition("#")[0].strip():
            match = re.fullmatch(r"([A-Za-z0-9_.-]+)(.*)", text)
            assert match is not None
            name, specifier = match.groups()
            found[name.lower().replace("_", "-")] = specifier
    return found


def lines_of(name: str) -> list[str]:
    """Return the lines of a file at the top of the project."""
    return (ROOT / name).read_text().splitlines()


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the top-level names of the packages that ``tree`` imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def imported() -> set[str]:
    """Return the distributions that the modules of both apps import."""
    names: set[str] = set()
    for app in ("metrics", "health"):
        for path in (ROOT / app).rglob("*.py"):
            names.update(imports(ast.parse(path.read_text())))
    foreign = names - set(sys.stdlib_module_names) - {"metrics", "health"}
    return {OPTIONAL.get(name, name.replace("_", "-")) for name in foreign}


def test_the_package_requires_what_the_apps_import() -> None:
    """Nothing is required that no app imports, and nothing is imported without being named."""
    required = set(requirements(PROJECT["dependencies"]))
    assert imported() - set(OPTIONAL.values()) == required


def test_the_sample_project_requires_the_same_versions() -> None:
    """requirements.txt has each requirement of the package with the package's own bounds."""
    package = requirements(PROJECT["dependencies"])
    project = requirements(lines_of("requirements.txt"))
    assert {name: project.get(name) for name in package} == package
    assert set(project) - set(package) == {"django-prometheus", "whitenoise"}


@pytest.mark.parametrize("name", sorted(requirements(PROJECT["dependencies"])))
def test_the_constraints_are_the_lower_bounds(name: str) -> None:
    """Continuous integration tests the very versions from which the package's bounds go."""
    bounds = requirements(PROJECT["dependencies"])[name]
    (oldest,) = re.findall(r">=([\d.]+)", bounds)
    pinned = requirements(lines_of("constraints.txt"))[name].removeprefix("==")
    assert re.fullmatch(rf"{re.escape(oldest)}(\.0)*", pinned)


def test_continuous_integration_installs_the_constraints() -> None:
    """.ci/run tests with constraints.txt and once more without."""
    script = (ROOT / ".ci" / "run").read_text()
    assert re.findall(r"^check (.*)$", script, re.M) == [
        '"$oldest" .venv-oldest constraints.txt',
        '"$newest" .venv',
    ]
