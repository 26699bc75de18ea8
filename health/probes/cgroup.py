"""The memory of the control groups that limit this process, version 1 and 2 (Linux)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc/self")


@dataclass(frozen=True)
class _Files:
    """What a version of control groups calls its files, and its keys in ``memory.stat``.

    ``reclaimable`` is what the kernel frees before it lets a process fail for memory: the
    page cache, and the caches of its own that it can empty.
    """

    limit: str
    usage: str
    reclaimable: tuple[str, ...]


_V1 = _Files(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)
_V2 = _Files("memory.max", "memory.current", ("inactive_file", "active_file", "slab_reclaimable"))


def memory_limits() -> Iterator[tuple[int, int]]:
    """Yield ``(limit, free)`` in bytes of this process's group and of each one above it.

    A group without a limit yields nothing, nor does a machine without control groups. In
    a container the groups above its own cannot be seen.
    """
    try:
        mounts = (PROC / "mountinfo").read_text().splitlines()
        groups = (PROC / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in groups:
        _, controllers, path = line.split(":", 2)
        files = _V1 if "memory" in controllers.split(",") else None if controllers else _V2
        if files is None:
            continue
        for top, folder in _folders(mounts, path, "cgroup2" if files is _V2 else "cgroup"):
            while True:
                if (seen := _read(folder, files)) is not None:
                    yield seen
                if folder == top:
                    break
                folder = folder.parent


def _folders(mounts: list[str], path: str, kind: str) -> Iterator[tuple[Path, Path]]:
    """Yield where a hierarchy with memory is mounted, and the group's folder in it."""
    for line in mounts:
        here, _, there = line.partition(" - ")
        fields, (fs, _, options) = here.split(), there.split(maxsplit=2)
        if fs != kind or (kind == "cgroup" and "memory" not in options.split(",")):
            continue
        top, group = Path(_unescaped(fields[4])), PurePosixPath(path)
        root = PurePosixPath(_unescaped(fields[3]))
        # A container may see the host's path of its group and only its own folder.
        inside = group.is_relative_to(root) and ".." not in group.parts
        folder = top / group.relative_to(root) if inside else top
        yield top, folder if folder.is_dir() else top


def _read(folder: Path, files: _Files) -> tuple[int, int] | None:
    try:
        limit = int((folder / files.limit).read_text())
        usage = int((folder / files.usage).read_text())
    except (OSError, ValueError):  # the root has no such file, and no limit is "max"
        return None
    reclaimable = 0
    try:
        for line in (folder / "memory.stat").read_text().splitlines():
            key, _, value = line.partition(" ")
            if key in files.reclaimable:
                reclaimable += int(value)
    except (OSError, ValueError):
        reclaimable = 0
    return limit, min(limit, max(0, limit - usage + reclaimable))


def _unescaped(field: str) -> str:
    """Return a field of mountinfo as it is: a space, for one, stands there as an octal number."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
