"""Reasons for which the store cannot be used."""

from __future__ import annotations

from metrics.shared.errors import REASONS, RecordTooLargeError, reason_of


def test_every_fault_has_a_reason() -> None:
    """Each fault is counted under one of the words that the store exports."""
    from metrics.system.run_dir import RunDirError

    for error, reason in (
        (OSError(28, "x"), "no_space"),
        (PermissionError(13, "x"), "no_permission"),
        (FileNotFoundError(2, "x"), "no_directory"),
        (RunDirError("x"), "no_permission"),
        (RecordTooLargeError("x"), "record_too_large"),
        (ValueError("x"), "other"),
    ):
        assert reason_of(error) == reason
        assert reason in REASONS
