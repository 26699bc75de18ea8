"""Control groups: what they leave of the memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from health.probes import cgroup

MIB = 1024 * 1024


def v2(*groups: tuple[str, str | int, int, int]) -> dict[str, str]:
    """Return the files of groups of version 2: path, limit, usage and page cache in MiB."""
    files = {}
    for path, limit, used, cache in groups:
        stat = f"anon 5\ninactive_file {cache * MIB // 2}\nactive_file {cache * MIB // 2}\n"
        files[f"{path}memory.max"] = f"{limit if limit == 'max' else int(limit) * MIB}\n"
        files[f"{path}memory.current"] = f"{used * MIB}\n"
        files[f"{path}memory.stat"] = f"{stat}slab_reclaimable {MIB}\nshmem {99 * MIB}\n"
    return files


def v1(path: str, limit: int, used: int, cache: int) -> dict[str, str]:
    """Return the files of a group of version 1."""
    stat = f"inactive_file 7\ntotal_inactive_file {cache * MIB}\ntotal_active_file {MIB}\n"
    return {
        f"{path}memory.limit_in_bytes": f"{limit}\n",
        f"{path}memory.usage_in_bytes": f"{used * MIB}\n",
        f"{path}memory.stat": f"{stat}cache {99 * MIB}\n",
    }


@pytest.mark.parametrize(
    ("mount", "root", "group", "files", "expected"),
    [
        ("cgroup2", "/", "0::/", v2(("", 200, 50, 0)), [(200, 151)]),
        ("cgroup2", "/", "0::/", v2(("", 200, 190, 100)), [(200, 111)]),
        ("cgroup2", "/", "0::/", v2(("", "max", 190, 100)), []),
        ("cgroup2", "/", "0::/", v2(("", 200, 300, 0)), [(200, 0)]),
        (
            "cgroup2",
            "/",
            "0::/pod/web",
            v2(("pod/", 100, 90, 0), ("pod/web/", "max", 10, 0)),
            [(100, 11)],
        ),
        (
            "cgroup2",
            "/",
            "0::/pod/web",
            v2(("pod/", 100, 90, 0), ("pod/web/", 50, 10, 0)),
            [(50, 41), (100, 11)],
        ),
        ("cgroup2", "/docker/abc", "0::/docker/abc", v2(("", 200, 50, 0)), [(200, 151)]),
        ("cgroup2", "/docker/abc", "0::/elsewhere", v2(("", 200, 50, 0)), [(200, 151)]),
        ("cgroup2", "/", "0::/../other", v2(("", 200, 50, 0)), [(200, 151)]),
        ("cgroup", "/", "4:memory:/", v1("", 200 * MIB, 190, 100), [(200, 111)]),
        ("cgroup", "/", "4:cpu,memory:/a", v1("a/", 200 * MIB, 190, 100), [(200, 111)]),
        ("cgroup", "/docker/x", "4:memory:/docker/x", v1("", 2 * MIB, 1, 0), [(2, 2)]),
        ("cgroup", "/", "4:cpu:/\n0::/", v1("", 200 * MIB, 190, 100), []),
        ("cgroup", "/", "nothing", {}, []),
    ],
)
def test_memory_of_control_groups(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mount: str,
    root: str,
    group: str,
    files: dict[str, str],
    expected: list[tuple[int, int]],
) -> None:
    """Each limit above the process counts, without what the kernel would give back."""
    top = tmp_path / "a mount"
    top.mkdir()
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(content)
    options = "rw,memory" if mount == "cgroup" else "rw"
    where = str(top).replace(" ", r"\040")
    (tmp_path / "mountinfo").write_text(
        "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"35 31 0:32 {root} {where} rw,relatime shared:9 - {mount} {mount} {options}\n"
    )
    if group != "nothing":
        (tmp_path / "cgroup").write_text(f"{group}\n")
    monkeypatch.setattr(cgroup, "PROC", tmp_path)
    assert [(limit // MIB, free // MIB) for limit, free in cgroup.memory_limits()] == expected
