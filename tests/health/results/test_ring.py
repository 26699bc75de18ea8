"""The bounded file of results: what is written is read, damage is left out, nothing grows."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from health.results.ring import NAME, RECORDS, SIZE, Result, Ring, folder, read
from metrics.system.run_dir import RunDirError


def result(number: int) -> Result:
    """Return a result that tells its number."""
    return Result(1_800_000_000.0 + number, number % 3 != 0, number / 64 if number % 2 else None)


def write(directory: Path, start: int, end: int) -> None:
    """Write results of two backends in turn, from a process of their own."""
    ring = Ring(directory)
    ring.add((f"b{number % 2}", result(number)) for number in range(start, end))
    ring.close()


def test_results_by_backend(tmp_path: Path) -> None:
    """Each backend has its own, oldest first; the next process goes on."""
    write(tmp_path, 0, 6)
    write(tmp_path, 6, 9)
    found = read(tmp_path, ["b0", "b1", "other"])
    assert found == {
        "b0": [result(n) for n in (0, 2, 4, 6, 8)],
        "b1": [result(n) for n in (1, 3, 5, 7)],
        "other": [],
    }
    assert read(tmp_path, ["b0"], last=3) == {"b0": [result(6), result(8)]}


def test_the_oldest_go(tmp_path: Path) -> None:
    """The file never grows; what is left is the newest, in order."""
    write(tmp_path, 0, RECORDS + 1001)
    assert (Path(folder(tmp_path)) / NAME).stat().st_size == SIZE
    found = read(tmp_path, ["b0", "b1"])
    assert found["b0"] == [result(n) for n in range(1002, RECORDS + 1001, 2)]
    assert len(found["b1"]) == RECORDS // 2
    assert read(tmp_path, ["b1"], last=2000)["b1"] == [
        result(n) for n in range(RECORDS - 999, RECORDS + 1001, 2)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_left_out(tmp_path: Path, seed: int) -> None:
    """Whatever bytes are overwritten: right results or none, and the next process goes on."""
    chance = random.Random(seed)
    write(tmp_path, 0, 5000)
    data = bytearray((Path(folder(tmp_path)) / NAME).read_bytes())
    for _ in range(50):
        at = chance.randrange(5000 * 36)
        data[at : at + 40] = chance.randbytes(40)
    if seed % 2:
        data[:64] = chance.randbytes(64)
    if seed % 3 == 0:
        del data[chance.randrange(len(data)) :]
    (Path(folder(tmp_path)) / NAME).write_bytes(data)
    right = {number: result(number) for number in range(5000)}
    for name, results in read(tmp_path, ["b0", "b1"]).items():
        for one in results:
            number = int(one.at - 1_800_000_000)
            assert (one, name) == (right[number], f"b{number % 2}")
    write(tmp_path, 6000, 6002)
    assert read(tmp_path, ["b0"])["b0"][-1] == result(6000)
    assert read(tmp_path, ["b1"])["b1"][-1] == result(6001)


def test_file_that_is_taken_away(tmp_path: Path) -> None:
    """A run directory that was emptied is written anew."""
    ring = Ring(tmp_path)
    ring.add([("b0", result(0))])
    (Path(folder(tmp_path)) / NAME).unlink()
    ring.add([("b0", result(1))])
    assert read(tmp_path, ["b0"])["b0"] == [result(1)]


def test_nothing_there(tmp_path: Path) -> None:
    """Where nothing probed there is nothing to read."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path, ["b0"])


def test_directory_of_somebody_else(tmp_path: Path) -> None:
    """Nothing is written into a directory that others can write to."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    with pytest.raises(RunDirError, match="can be written by others"):
        Ring(tmp_path / "run").add([("b0", result(0))])
    assert not list((tmp_path / "run").iterdir())
