"""The number of workers, as the environment says it."""

from __future__ import annotations

import pytest

from health.supervisor import environment


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3", 3), ("", 2 * environment.cores() + 1), (None, 2 * environment.cores() + 1)],
)
def test_number_of_workers(
    monkeypatch: pytest.MonkeyPatch, text: str | None, expected: int
) -> None:
    """SENTINEL_WORKERS, or two a core and one more."""
    monkeypatch.delenv("SENTINEL_WORKERS", raising=False)
    if text is not None:
        monkeypatch.setenv("SENTINEL_WORKERS", text)
    assert environment.workers() == expected


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "²"])
def test_a_wrong_number_of_workers_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """It is said before anything starts."""
    monkeypatch.setenv("SENTINEL_WORKERS", text)
    with pytest.raises(ValueError, match="SENTINEL_WORKERS must be a whole number above 0"):
        environment.workers()
