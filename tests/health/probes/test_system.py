"""The probes of disk and memory."""

from __future__ import annotations

import os
from typing import Any

import pytest

from health.probes import DiskProbe, MemoryProbe
from tests.support.probes import doubts, outcome


def test_disk_and_memory() -> None:
    """There is a mebibyte of each, and there is no exbibyte of either."""
    assert outcome(DiskProbe(min_free_mib=1, min_free_percent=0)) is None
    assert outcome(MemoryProbe(min_free_mib=1, min_free_percent=0)) is None
    assert str(outcome(DiskProbe(min_free_mib=2**40))).startswith("/: ")
    assert str(outcome(DiskProbe(min_free_percent=100))).startswith("/: ")
    assert str(outcome(DiskProbe("/no/such/folder"))).startswith("FileNotFoundError")
    assert str(outcome(MemoryProbe(min_free_percent=100))).startswith("memory: ")
    assert str(outcome(MemoryProbe(min_free_mib=2**40))).startswith("memory: ")


MIB = 1024 * 1024
UNLIMITED = 9223372036854771712


@pytest.mark.parametrize(
    ("limit", "free", "options", "expected"),
    [
        (100, 60, {}, None),
        (100, 40, {}, "memory of the control group: 40 MiB are free, 50 are wanted"),
        (100, 40, {"min_free_mib": 10}, None),
        (
            100,
            40,
            {"min_free_mib": 0, "min_free_percent": 50},
            "memory of the control group: 40 MiB are free, 50 are wanted",
        ),
        (UNLIMITED, 0, {}, None),
    ],
)
def test_memory_that_a_control_group_leaves(
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    free: int,
    options: dict[str, Any],
    expected: str | None,
) -> None:
    """The percent are those of the group's limit; what is no limit is none."""
    monkeypatch.setattr("health.probes.system.memory_limits", lambda: [(limit * MIB, free * MIB)])
    assert outcome(MemoryProbe(**options)) == expected


def file_system(**values: int) -> os.statvfs_result:
    """Return what statvfs says of 1000 MiB, 200 of them free, 50 of those for root alone."""
    names = ["f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail"]
    names += ["f_files", "f_ffree", "f_favail", "f_flag", "f_namemax"]
    usual = dict(zip(names, (4 * MIB, MIB, 1000, 200, 150, 1000, 500, 500, 0, 255), strict=True))
    return os.statvfs_result(tuple((usual | values).values()))


@pytest.mark.parametrize(
    ("seen", "options", "expected"),
    [
        (file_system(), {}, None),
        (file_system(), {"min_free_mib": 150}, None),
        (file_system(), {"min_free_mib": 151}, "/x: 150 MiB are free, 151 are wanted"),
        (file_system(f_bfree=1000, f_bavail=950), {"min_free_percent": 100}, None),
        (file_system(f_bavail=0), {}, "/x: 0 MiB are free, 100 are wanted"),
        (file_system(f_favail=4), {}, "/x: 0.8% of the inodes are free, 1% are wanted"),
        (file_system(f_favail=4), {"min_free_inodes_percent": 0}, None),
        (file_system(f_files=0, f_ffree=0, f_favail=0), {}, None),
        (file_system(f_flag=os.ST_RDONLY), {}, "/x: the file system is read-only"),
    ],
)
def test_room_on_a_disk(
    monkeypatch: pytest.MonkeyPatch,
    seen: os.statvfs_result,
    options: dict[str, Any],
    expected: str | None,
) -> None:
    """Space without what is reserved for root, inodes where there is a number of them, writable."""
    monkeypatch.setattr(os, "statvfs", {"/x": seen}.__getitem__)
    assert outcome(DiskProbe("/x", **options)) == expected


def test_a_place_in_which_a_check_can_only_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only file system, a small one and a low limit of memory are warned of."""
    monkeypatch.setattr(os, "statvfs", lambda _: file_system(f_flag=os.ST_RDONLY))
    assert doubts("health.probes.DiskProbe", path="/x", min_free_mib=1001) == [
        "the file system of /x is read-only here: every check fails",
        "/x: 1001 MiB are to be free of 1000: every check fails",
    ]
    monkeypatch.setattr("health.probes.system.memory_limits", lambda: [(40 * MIB, 40 * MIB)])
    assert doubts("health.probes.MemoryProbe") == [
        "memory of the control group: 50 MiB are to be free of 40: every check fails"
    ]
