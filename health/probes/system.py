"""Probes of this machine: disk space and memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from health.probes.base import Probe, ProbeError
from health.probes.cgroup import memory_limits
from health.probes.options import FilePath

MIB = 1024 * 1024


@dataclass
class DiskProbe(Probe):
    """That files can be written in the file system of ``path``.

    It has so many MiB free, and so many percent of its space and of its inodes, not
    counting what is reserved for root; and it is not mounted read-only. A file system that
    makes inodes as it needs them has no share of them to look at.
    """

    path: FilePath = "/"
    min_free_mib: float = 100
    min_free_percent: float = 1
    min_free_inodes_percent: float = 1

    def __post_init__(self) -> None:
        _demand_limits(self.min_free_mib, self.min_free_percent)
        if not 0 <= self.min_free_inodes_percent <= 100:
            raise ValueError("min_free_inodes_percent must be from 0 to 100")

    def check(self, timeout: float) -> None:
        """Ask the file system."""
        seen = os.statvfs(self.path)
        if seen.f_flag & os.ST_RDONLY:
            raise ProbeError(f"{self.path}: the file system is read-only")
        free = seen.f_bavail * seen.f_frsize
        total = free + (seen.f_blocks - seen.f_bfree) * seen.f_frsize
        _demand(f"{self.path}", free, total, self.min_free_mib, self.min_free_percent)
        inodes = seen.f_favail + seen.f_files - seen.f_ffree
        if seen.f_files and seen.f_favail < inodes * self.min_free_inodes_percent / 100:
            raise ProbeError(
                f"{self.path}: {seen.f_favail / inodes:.1%} of the inodes are free,"
                f" {self.min_free_inodes_percent:g}% are wanted"
            )

    def doubts(self) -> Iterator[str]:
        """Tell of a file system that is read-only here, as a container's root may be, or small."""
        try:
            seen = os.statvfs(self.path)
        except OSError:  # it may be mounted later
            return
        if seen.f_flag & os.ST_RDONLY:
            yield f"the file system of {self.path} is read-only here: every check fails"
        yield from _too_small(f"{self.path}", seen.f_blocks * seen.f_frsize, self.min_free_mib)


@dataclass
class MemoryProbe(Probe):
    """That memory can be had: of the machine, and of each control group that limits us.

    What the kernel would give back, the page cache above all, is free.
    """

    min_free_mib: float = 50
    min_free_percent: float = 2

    def __post_init__(self) -> None:
        _demand_limits(self.min_free_mib, self.min_free_percent)

    def check(self, timeout: float) -> None:
        """Ask the kernel."""
        for what, free, total in _memories():
            _demand(what, free, total, self.min_free_mib, self.min_free_percent)

    def doubts(self) -> Iterator[str]:
        """Tell of a limit that leaves less than is wanted."""
        for what, _, total in _memories():
            yield from _too_small(what, total, self.min_free_mib)


def _memories() -> Iterator[tuple[str, int, int]]:
    """Yield what there is, how much of it is free, and how much there is in all, in bytes."""
    memory = psutil.virtual_memory()
    yield "memory", memory.available, memory.total
    for limit, free in memory_limits():
        if limit < memory.total:
            yield "memory of the control group", free, limit


def _too_small(what: str, total: int, min_mib: float) -> Iterator[str]:
    if total < min_mib * MIB:
        yield f"{what}: {min_mib:g} MiB are to be free of {total / MIB:.0f}: every check fails"


def _demand_limits(min_mib: float, min_percent: float) -> None:
    if not 0 <= min_mib < float("inf"):
        raise ValueError("min_free_mib must be 0 or more")
    if not 0 <= min_percent <= 100:
        raise ValueError("min_free_percent must be from 0 to 100")


def _demand(what: str, free: int, total: int, min_mib: float, min_percent: float) -> None:
    wanted = max(min_mib * MIB, total * min_percent / 100)
    if free < wanted:
        raise ProbeError(f"{what}: {free / MIB:.0f} MiB are free, {wanted / MIB:.0f} are wanted")
