"""Thousands of damaged files: a read never fails, is right where it can be, and says so."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from metrics.samples import Snapshot
from metrics.shared.files.directory import Directory
from metrics.shared.files.lanes import HEADER_SIZE
from metrics.shared.reading.reader import OwnMemory, Reader
from tests.support.store_peers import figures, peers, run

CASES = 250
SEED = 20261123

IMPORT = "from tests.metrics.shared.programs import damage"


@dataclass
class Well:
    """A directory that is well, what its files hold, and what a read of it shows."""

    path: Path
    files: dict[str, bytes]
    shown: dict[str, float]

    def read(self) -> Snapshot:
        """Read it as a fresh process does."""
        files = Directory(str(self.path))
        try:
            files.index.refresh()
            return Reader().snapshot(str(self.path), files, OwnMemory({}, [], {}))
        finally:
            files.close()

    def restore(self) -> None:
        """Make all files again as they were."""
        for file in self.path.iterdir():
            file.unlink()
        for name, data in self.files.items():
            (self.path / name).write_bytes(data)


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Well]:
    """Return a directory in which three processes counted."""
    path = tmp_path_factory.mktemp("damage") / "run"
    with peers(path, 3, f"{IMPORT}; damage.fill(process)"):
        pass
    found = Well(path, {file.name: file.read_bytes() for file in path.iterdir()}, {})
    found.shown = figures(found.read())
    assert len(found.shown) == 25 * (1 + 1 + 5)
    assert found.shown['c_total{l="7"}'] == 24.0
    assert {f"lane-{i}" for i in range(3)} | {"index", "claim"} <= set(found.files)
    yield found
    shutil.rmtree(path)


def truncate(data: bytes, chance: random.Random) -> bytes:
    """Cut a file short."""
    return data[: chance.randrange(len(data))]


def zero(data: bytes, chance: random.Random) -> bytes:
    """Zero a part of a file, or all of it."""
    begin, end = sorted((chance.randrange(len(data)), chance.randrange(len(data) + 1)))
    if chance.random() < 0.1:
        begin, end = 0, len(data)
    return data[:begin] + bytes(end - begin) + data[end:]


def flip(data: bytes, chance: random.Random) -> bytes:
    """Change some random bytes."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 10, 100))):
        found[chance.randrange(len(found))] ^= chance.randrange(1, 256)
    return bytes(found)


def splice(data: bytes, chance: random.Random) -> bytes:
    """Put a part of the file, or noise, in another place, as a broken disk may do."""
    begin, end = sorted((chance.randrange(len(data)), chance.randrange(len(data))))
    piece = data[begin:end] if chance.random() < 0.5 else chance.randbytes(end - begin)
    at = chance.randrange(len(data))
    return data[:at] + piece + data[at + chance.choice((0, len(piece))) :]


WAYS = [truncate, zero, flip, splice]


@pytest.mark.parametrize("how", WAYS)
def test_damaged_index(well: Well, how: Callable[[bytes, random.Random], bytes]) -> None:
    """Whatever became of the index, each line that shows has its value; missing ones are told."""
    chance = random.Random(f"{SEED} index {how.__name__}")
    whole = missing = 0
    for case in range(CASES):
        well.restore()
        damaged = how(well.files["index"], chance)
        (well.path / "index").write_bytes(damaged)
        snapshot = well.read()
        shown = figures(snapshot)
        # A removal that cannot be read is undone; each of the three processes entered one.
        back = shown.pop('c_total{l="gone"}', 0.0)
        assert back in (0.0, 1.0, 2.0, 3.0), case
        assert shown.items() <= well.shown.items(), (case, shown.items() - well.shown.items())
        if shown == well.shown:
            whole += 1
        else:
            missing += 1
            assert snapshot.left_out, case
    assert missing > CASES / 4
    assert whole + missing == CASES


@pytest.mark.parametrize("how", WAYS)
def test_damaged_lane(well: Well, how: Callable[[bytes, random.Random], bytes]) -> None:
    """Whatever became of a lane, all others count, and what cannot be read is told."""
    chance = random.Random(f"{SEED} lane {how.__name__}")
    rest = {f'c_total{{l="{i}"}}': 2.0 * (i + 1) for i in range(25)}
    used = HEADER_SIZE + 8 * 25 * (1 + 4 + 4)
    told = 0
    for case in range(CASES):
        well.restore()
        damaged = how(well.files["lane-1"], chance)
        (well.path / "lane-1").write_bytes(damaged)
        snapshot = well.read()
        shown = figures(snapshot)
        shown.pop('c_total{l="gone"}', None)  # where its count is more than was removed
        assert shown.keys() == well.shown.keys(), case
        for line, least in rest.items():
            # Noise may be a number below 0, which shows only if it takes the sum below.
            assert shown[line] >= (least if how in (truncate, zero) else 0.0), case
        if snapshot.left_out:
            told += 1
            assert all(why.startswith("lane-1: ") for why in snapshot.left_out), case
        if how is truncate:
            assert snapshot.left_out or len(damaged) >= used, case
            if len(damaged) < HEADER_SIZE + 8:
                assert all(shown[line] == least for line, least in rest.items()), case
            assert all(value <= well.shown[line] for line, value in shown.items()), case
        if damaged[:16] != well.files["lane-1"][:16]:
            assert snapshot.left_out, case
            assert all(shown[line] == least for line, least in rest.items()), case
    assert told > CASES / 100


@pytest.mark.parametrize("how", WAYS)
def test_damaged_claim_file_and_exemplars(
    well: Well, how: Callable[[bytes, random.Random], bytes]
) -> None:
    """The claim file and exemplars are no condition for any value."""
    chance = random.Random(f"{SEED} claim {how.__name__}")
    for case in range(CASES // 2):
        well.restore()
        for name in ("claim", "exemplars-0", "exemplars-2"):
            (well.path / name).write_bytes(how(well.files[name], chance))
        snapshot = well.read()
        shown = figures(snapshot)
        assert {k: v for k, v in shown.items() if not k.startswith("sentinel")} == well.shown, case
        for exemplar in snapshot.exemplars.values():
            assert exemplar.labels.keys() == {"trace"}


def test_everything_damaged_at_once(well: Well) -> None:
    """A read of nothing but noise still ends with an answer."""
    chance = random.Random(SEED)
    for _ in range(CASES // 4):
        well.restore()
        for name, data in well.files.items():
            (well.path / name).write_bytes(chance.choice(WAYS)(data, chance))
        snapshot = well.read()
        assert len(snapshot.values) == len(figures(snapshot, everything=True))


@pytest.mark.parametrize("name", ["index", "claim", "lane-1"])
def test_counting_goes_on_in_a_damaged_directory(well: Well, name: str) -> None:
    """New processes in a damaged directory count exactly, and agree with each other."""
    chance = random.Random(f"{SEED} {name}")
    code = f"{IMPORT}; work = damage.old_and_new(process); before = scrape()"
    for how in (*WAYS, *WAYS):
        well.restore()
        (well.path / name).write_bytes(how(well.files[name], chance))
        with peers(well.path, 2, code) as (one, two):
            for peer in (one, two):
                peer.run("work(); scrape()")
            before = one.get("before")
            found = one.scrape()
            assert two.scrape() == one.scrape() == found
            assert not [line for line in found if line.startswith("sentinel_store_faults")]
            if name == "lane-1":  # noise in it may be numbers that a count can be
                assert all(found[f'new_total{{l="{i}"}}'] >= 4.0 for i in range(40))
                continue
            for i in range(40):
                line = f'c_total{{l="{i}"}}'
                assert found[line] == before.get(line, 0.0) + 2.0, (how, line)
                assert found[f'new_total{{l="{i}"}}'] == 4.0
    well.restore()
    assert run(well.path, "print(json.dumps(scrape()))") == well.shown
