"""What becomes of the store when its files, its disk or its neighbours fail it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.metrics.shared.programs import faults
from tests.support import harness
from tests.support.store_peers import Peer, call, peers, run

RETRY_SECONDS = 1.0
IMPORT = "from tests.metrics.shared.programs import faults"


def test_full_disk_from_the_start(small_disk: Path) -> None:
    """On a full disk all is counted in memory, told once, and stored when there is space."""
    ballast = harness.fill_disk(small_disk)
    with peers(small_disk / "run", 2, "c = counter('c', ['l'])") as (one, two):
        for peer in (one, two):
            peer.run("for i in range(300): c.labels(str(i % 3)).inc()")
        counts = {f'c_total{{l="{i}"}}': 100.0 for i in range(3)}
        told = one.scrape()
        fault = told.pop('sentinel_store_faults_total{reason="no_space"}')
        assert told == counts
        assert fault >= 1.0
        assert len(one.get("LOG")) == 1
        assert "No space left on device" in one.get("LOG")[0]
        ballast.unlink()
        time.sleep(RETRY_SECONDS)
        one.run("c.labels('0').inc()")
        two.scrape()
        assert len(one.get("LOG")) == 2
        assert one.get("LOG")[1].endswith("works again.")
        for peer in (one, two):
            found = peer.scrape()
            assert found.pop('sentinel_store_faults_total{reason="no_space"}') >= 1.0
            assert found == dict.fromkeys(counts, 200.0) | {'c_total{l="0"}': 201.0}


def test_disk_that_fills_up_while_lanes_grow(small_disk: Path) -> None:
    """A disk that fills up under running processes costs no process and no count."""
    store_dir = small_disk / "run"
    make = f"{IMPORT}\nwork = faults.metrics_of_three_types(process)"
    with peers(store_dir, 3, make) as (one, two, three):
        for peer in (one, two):
            peer.run("work(0, 20)")
        ballast = harness.fill_disk(small_disk)
        for peer in (one, two, three):
            peer.run("work(0, 300)")
            peer.run("work(0, 300)")
            seen = peer.scrape()
            assert seen['c_total{l="299"}'] == 2.0
            assert seen['g{l="299"}'] == 299.0
            assert seen['h_count{l="299"}'] == 2.0
            assert seen['sentinel_store_faults_total{reason="no_space"}'] >= 1.0
            assert len(peer.get("LOG")) <= 1
        ballast.unlink()
        time.sleep(RETRY_SECONDS)
        for peer in (one, two, three):
            peer.scrape()
        for peer in (one, two, three):
            found = peer.scrape()
            assert [found[f'c_total{{l="{i}"}}'] for i in (0, 19, 20, 299)] == [8, 8, 6, 6]
            assert [found[f'h_count{{l="{i}"}}'] for i in (0, 19, 20, 299)] == [8, 8, 6, 6]
            assert [found[f'g{{l="{i}"}}'] for i in (1, 19, 20, 299)] == [3, 57, 60, 897]
            assert peer.left_out() == []
    assert all(peer.process.returncode == -signal.SIGKILL for peer in (one, two, three))


def test_counts_in_memory_are_stored_at_exit(small_disk: Path) -> None:
    """A process that could not store its counts before it ends tries once more then."""
    ballast = harness.fill_disk(small_disk)
    one = Peer(small_disk / "run", "c = counter()")
    one.run("c.inc(3)")
    ballast.unlink()
    assert one.end() == 0
    assert run(small_disk / "run", "print(json.dumps(scrape()))")["c_total"] == 3.0


def test_no_permission(tmp_path: Path) -> None:
    """A directory that may not be written to is told once, and the process counts on."""
    if os.geteuid():
        pytest.skip("only root can run a process as another user")
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    place = tmp_path / "roots"
    place.mkdir(mode=0o700)
    for directory in (place, place / "inside", tmp_path / "new"):
        found, log, _ = call(directory, faults.count_as_nobody)
        assert found == {
            'c_total{l="0"}': 50.0,
            'c_total{l="1"}': 50.0,
            'sentinel_store_faults_total{reason="no_permission"}': 1.0,
        }
        assert len(log) == 1
        assert "no_permission" in log[0]
    assert not list(place.iterdir())


def test_directory_of_another_user_and_symlinks_are_refused(tmp_path: Path) -> None:
    """What somebody planted in a shared place is not written to, and the log says why."""
    if os.geteuid():
        pytest.skip("only root can give a directory away")
    tmp_path.chmod(0o1777)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    os.chown(other, 65534, 65534)
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(target)
    file = tmp_path / "file"
    file.touch()
    wide = tmp_path / "wide"
    wide.mkdir()
    wide.chmod(0o777)
    for place, why in (
        (other, "belongs to user 65534, not to 0"),
        (link, "is a symbolic link; name the directory itself"),
        (file, "is not a directory"),
        (wide, "can be written by others (mode 0777); chmod it to 0700"),
    ):
        found, log = call(place, faults.count_strictly)
        assert found == {
            "c_total": 1.0,
            'sentinel_store_faults_total{reason="no_permission"}': 1.0,
        }
        assert len(log) == 1
        assert why in log[0]
    assert not [*other.iterdir(), *target.iterdir(), *wide.iterdir()]


def test_lane_that_is_a_symlink_is_not_followed(store_dir: Path, tmp_path: Path) -> None:
    """A symlink in the place of a lane or of the index is never written through."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    store_dir.mkdir(mode=0o700)
    for name in ("index", "lane-0"):
        (store_dir / name).symlink_to(victim)
        found = run(store_dir, "counter().inc(); print(json.dumps(scrape()))")
        assert found["c_total"] == 1.0
        assert victim.read_bytes() == b"precious"
        (store_dir / name).unlink()


def test_directory_that_vanishes(store_dir: Path) -> None:
    """After rm -rf the living carry over what they counted, and all see all again."""
    with peers(store_dir, 3, "c = counter('c', ['l']); c.labels('a').inc(0)") as trio:
        one, two, _three = trio
        for number, peer in enumerate(trio):
            peer.run(f"c.labels('a').inc(10); c.labels('{number}').inc({number + 1})")
        shutil.rmtree(store_dir)
        one.run("c.labels('a').inc()")
        two.run("c.labels('new').inc()")
        for peer in trio:
            peer.scrape()
        wanted = {
            'c_total{l="0"}': 1.0,
            'c_total{l="1"}': 2.0,
            'c_total{l="2"}': 3.0,
            'c_total{l="a"}': 31.0,
            'c_total{l="new"}': 1.0,
        }
        for peer in trio:
            assert dict(sorted(peer.scrape().items())) == wanted
            assert peer.left_out() == []
        for peer in trio:
            peer.run("c.labels('a').inc()")
        assert one.scrape()['c_total{l="a"}'] == 34.0


def test_totals_do_not_fall_when_the_directory_vanishes(store_dir: Path) -> None:
    """A scrape after rm -rf shows at least what its own process counted."""
    with Peer(store_dir, "c = counter(); c.inc(5)") as one:
        shutil.rmtree(store_dir)
        assert one.scrape() == {"c_total": 5.0}
        assert one.scrape() == {"c_total": 5.0}
        shutil.rmtree(store_dir)
        store_dir.mkdir(mode=0o700)
        assert one.scrape() == {"c_total": 5.0}


@pytest.mark.parametrize("victim", [".", "index", "lane-0", "claim"])
def test_what_vanishes_leaves_a_process_its_own_share(store_dir: Path, victim: str) -> None:
    """A metric shows what its process counted, not what its lane held, in every directory."""
    call(store_dir, faults.count_a_share)
    with Peer(store_dir, f"{IMPORT}\nshare = faults.OwnShare(process); share.count()") as one:
        assert one.get("share.own()") == [7.0, 3.5, 1.0, 1.0]
        assert one.scrape()["c_total"] == 14.0
        gone = store_dir / victim
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        for times in (2, 3, 4):
            one.scrape()
            one.run("share.count()")
            assert one.get("share.own()") == [7.0 * times, 3.5 * times, times, times]


def test_a_series_that_comes_back_while_the_index_is_locked_begins_again(store_dir: Path) -> None:
    """What its cell holds from before its removal is in no figure, then and later."""
    with Peer(store_dir, "c = counter('c', ['l']); c.labels('a').inc(5); c.remove('a')") as one:
        with (store_dir / "index").open("rb") as index:
            fcntl.flock(index, fcntl.LOCK_EX)
            one.run("c.labels('a').inc(3)")
            assert one.get("c.labels('a')._value.get()") == 3.0
        one.run("store._hold.try_at_once(); c.labels('a').inc()")
        assert one.get("c.labels('a')._value.get()") == 4.0
        assert one.scrape() == {
            'c_total{l="a"}': 4.0,
            'sentinel_store_faults_total{reason="lock_timeout"}': 1.0,
        }


@pytest.mark.parametrize("victim", ["index", "lane-0", "claim"])
def test_one_file_that_vanishes(store_dir: Path, victim: str) -> None:
    """Whichever file is deleted, what the living counted is in the next scrapes."""
    with peers(store_dir, 2, "c = counter('c', ['l']); c.labels('a').inc(5)") as (one, two):
        one.run("c.labels('one').inc()")
        two.run("c.labels('two').inc()")
        (store_dir / victim).unlink()
        with Peer(store_dir, "c = counter('c', ['l']); c.labels('b').inc(7)") as three:
            for peer in (one, two, three, one, two, three):
                found = peer.scrape()
            wanted = {"a": 10.0, "b": 7.0, "one": 1.0, "two": 1.0}
            for peer in (one, two, three):
                peer.run("c.labels('b').inc()")
            wanted["b"] = 10.0
            for peer in (one, two, three):
                found = peer.scrape()
                assert found == {f'c_total{{l="{label}"}}': n for label, n in wanted.items()}
                assert peer.left_out() == []


def test_counts_of_an_idle_process_arrive_at_its_exit(store_dir: Path) -> None:
    """A process that never learned that the files were replaced brings its counts along."""
    one = Peer(store_dir, "c = counter(); c.inc(5)").ready()
    for file in store_dir.iterdir():
        file.unlink()
    with Peer(store_dir, "c = counter(); c.inc(2)") as two:
        assert one.end() == 0
        assert two.scrape() == {"c_total": 7.0}


def test_lane_of_a_replaced_index_gives_nothing_to_other_series(store_dir: Path) -> None:
    """What dead processes left in a lane is never counted for a series of a new index."""
    run(store_dir, "for i in range(10): counter(f'dead_{i}').inc(1000)")
    with Peer(store_dir, "c = counter(); c.inc(1)") as one:
        assert one.get("store.workers()[0].number") == 0
        (store_dir / "index").unlink()
        one.run("for i in range(10): counter(f'new_{i}').inc(1)")
        found = one.scrape()
        assert found == {f"new_{i}_total": 1.0 for i in range(10)} | {"c_total": 1.0}


def test_index_cut_short_and_longer_again(store_dir: Path) -> None:
    """Others who append before a process looks again cannot hide from it that it was cut."""
    make = "c = counter('c', ['l'])"
    with peers(store_dir, 2, make) as (one, two):
        one.run("for i in range(50): c.labels(f'one {i}').inc()")
        two.run("c.labels('one 7').inc()")
        os.truncate(store_dir / "index", 700)
        two.scrape()
        two.run("for i in range(200): c.labels(f'two {i}').inc()")
        assert (store_dir / "index").stat().st_size > 5000
        for peer in (one, two, one, two):
            found = peer.scrape()
        for peer in (one, two):
            found = peer.scrape()
            wanted = {f'c_total{{l="one {i}"}}': 1.0 for i in range(50)}
            wanted |= {f'c_total{{l="two {i}"}}': 1.0 for i in range(200)}
            assert found == wanted | {'c_total{l="one 7"}': 2.0}


@pytest.mark.parametrize("how", ["zeroed", "middle zeroed", "header", "emptied", "tail"])
def test_damaged_index_under_running_processes(store_dir: Path, how: str) -> None:
    """After damage in place the living agree again as soon as one enters a series."""
    make = "c = counter('c', ['l'])"
    with peers(store_dir, 2, make) as (one, two):
        one.run("for i in range(30): c.labels(f'one {i}').inc()")
        two.run("for i in range(30): c.labels(f'two {i}').inc()")
        two.run("for i in range(30): c.labels(f'one {i}').inc()")
        path = store_dir / "index"
        data = bytearray(path.read_bytes())
        begin, end = {
            "zeroed": (0, len(data)),
            "middle zeroed": (len(data) // 3, len(data) // 2),
            "header": (0, 64),
            "emptied": (0, 0),
            "tail": (len(data) - 90, len(data)),
        }[how]
        if how == "emptied":
            os.truncate(path, 0)
        else:
            data[begin:end] = bytes(end - begin)
            path.write_bytes(data)
        with Peer(store_dir, make) as three:
            three.run("c.labels('three').inc(); c.labels('one 0').inc()")
            for peer in (one, two, three, one, two, three):
                peer.scrape()
            for peer in (one, two, three):
                peer.run("c.labels('all').inc()")
            wanted = {f'c_total{{l="one {i}"}}': 2.0 for i in range(30)}
            wanted |= {f'c_total{{l="two {i}"}}': 1.0 for i in range(30)}
            wanted |= {'c_total{l="three"}': 1.0, 'c_total{l="one 0"}': 3.0}
            wanted |= {'c_total{l="all"}': 3.0}
            for peer in (one, two, three):
                assert peer.scrape() == wanted


def test_lost_series_of_the_dead_are_told(store_dir: Path) -> None:
    """Long after an index was cut and mended a scrape says that counts of the dead are missing."""
    make = "c = counter('c', ['l'])"
    with peers(store_dir, 2, make) as (one, two):
        one.run("c.labels('both').inc()")
        two.run("c.labels('both').inc(); c.labels('two').inc()")
        assert one.left_out() == []
        two.kill()
        os.truncate(store_dir / "index", 70)
        for label in ("one", "another"):
            one.run(f"c.labels('{label}').inc()")
        for reader in (one, Peer(store_dir, make).ready()):
            assert reader.left_out() == ["index: 2 cells hold counts whose series are lost"]
            assert reader.scrape() == {
                f'c_total{{l="{label}"}}': 1.0 for label in ("both", "one", "another")
            }
            reader.kill()


@pytest.mark.parametrize("size", [0, 100, 4096, 4104])
def test_lane_cut_short_while_its_process_lives(store_dir: Path, size: int) -> None:
    """A process that looks at its lane before it writes again lives on, and says what is lost."""
    with peers(store_dir, 2, "c = counter()") as (one, two):
        one.run("c.inc(5)")
        two.run("c.inc(7)")
        whole = (store_dir / "lane-0").stat().st_size
        os.truncate(store_dir / "lane-0", size)
        kept = 5.0 if size > 4096 else 0.0
        said = ["lane-0: cut short" + (" to 4096 bytes" if size == 4096 else "")]
        assert two.left_out() == ([] if kept else said)
        assert two.scrape() == {"c_total": 7.0 + kept}
        assert one.scrape() == {"c_total": 7.0 + kept}
        one.run("c.inc()")
        assert two.scrape() == one.scrape() == {"c_total": 8.0 + kept}
        assert two.left_out() == one.left_out() == []
        (logged,) = [line for line in one.get("LOG") if "cut short" in line]
        assert f"lane-0 was cut short by {whole - size} bytes: their counts are lost" in logged


def test_kill_in_the_middle_of_an_append(store_dir: Path) -> None:
    """Half a record at the index's end is cut off by the next process that appends."""
    with Peer(store_dir, "c = counter('c', ['l']); c.labels('whole').inc()") as witness:
        for share in (1, 15, 16, 17, 40):
            with pytest.raises(AssertionError, match="exit status -9"):
                call(store_dir, faults.die_in_an_append, share)
            assert "damaged bytes" in witness.left_out()[0]
            assert run(store_dir, "print(json.dumps(list(store.snapshot().left_out)))")
            run(store_dir, f"counter('c', ['l']).labels('{share}').inc(7)")
            assert witness.left_out() == []
            assert witness.scrape()[f'c_total{{l="{share}"}}'] == 7.0
        assert witness.scrape()['c_total{l="whole"}'] == 16.0


@pytest.mark.parametrize("lock", ["index", "claim"])
def test_stopped_holder_of_a_lock(store_dir: Path, lock: str) -> None:
    """While a stopped process holds a lock others count on; nothing is lost in the end."""
    hold = f"""
    import fcntl
    c = counter("c", ["l"]); c.labels("a").inc()
    hold_fd = os.open(DIR + "/{lock}", os.O_RDWR)
    fcntl.flock(hold_fd, fcntl.LOCK_EX)
    """
    make = "c = counter('c', ['l']); g = gauge('max')"
    with Peer(store_dir, make) as early:
        early.run("c.labels('a').inc(); g.set(1)")
        with Peer(store_dir, hold) as holder:
            holder.get("0")
            holder.stop()
            with Peer(store_dir, make) as late:
                for peer in (early, late):
                    peer.run("for i in range(20): c.labels('a').inc(); c.labels(str(i)).inc()")
                    seen = peer.scrape()
                    assert seen['c_total{l="a"}'] >= 20.0
                    assert seen['c_total{l="19"}'] >= 1.0
                    assert len(peer.get("LOG")) <= 1
                holder.go_on()
                holder.run("os.close(hold_fd)")
                time.sleep(RETRY_SECONDS)
                for peer in (early, late):
                    peer.scrape()
                for peer in (early, late, holder):
                    found = peer.scrape()
                    faults = found.pop('sentinel_store_faults_total{reason="lock_timeout"}')
                    assert faults >= 1.0
                    wanted = {f'c_total{{l="{i}"}}': 2.0 for i in range(20)}
                    assert found == wanted | {'c_total{l="a"}': 42.0, "g": 1.0}
                    assert peer.left_out() == []


def test_too_many_lanes(store_dir: Path) -> None:
    """A process without a lane counts in memory, and takes one that becomes free."""
    make = "from metrics.shared.files import lanes; lanes.MAX_LANES = 2; c = counter(); c.inc()"
    with Peer(store_dir, make) as one, Peer(store_dir, make) as two:
        assert one.scrape() == {"c_total": 2.0}
        with Peer(store_dir, make) as three:
            fault = 'sentinel_store_faults_total{reason="too_many_lanes"}'
            assert three.scrape() == {"c_total": 3.0, fault: 1.0}
            assert "all 2 lanes are taken" in three.get("LOG")[0]
            two.kill()
            time.sleep(RETRY_SECONDS)
            three.scrape()
            assert one.scrape()["c_total"] == 3.0
    assert len(list(store_dir.glob("lane-*"))) == 2


def test_more_lanes_than_files_may_be_open(store_dir: Path) -> None:
    """A scrape reads all lanes of a service whose processes may open few files."""
    with peers(store_dir, 2, "c = counter()") as (one, two):
        one.run("c.inc(3)")
        for number in range(1, 200):
            shutil.copy(store_dir / "lane-0", store_dir / f"lane-{number}")
        two.run("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))")
        assert two.scrape() == {"c_total": 600.0}
        assert two.left_out() == []
        assert two.get("sum(worker.alive for worker in store.workers())") == 1


def test_label_set_too_long_for_the_index(store_dir: Path) -> None:
    """One endless label value folds, and keeps nothing else from being stored."""
    with peers(store_dir, 2, "c = counter('c', ['l'])") as (one, two):
        one.run("c.labels('x' * 300_000).inc(); c.labels('y' * 300_000).inc()")
        one.run("c.labels('short').inc(); c.labels('x' * 300_000).inc()")
        two.run("c.labels('other').inc()")
        found = two.scrape()
        assert found.pop('sentinel_store_faults_total{reason="record_too_large"}') == 2.0
        assert found == {
            'c_total{l="overflow"}': 3.0,
            'c_total{l="short"}': 1.0,
            'c_total{l="other"}': 1.0,
            'sentinel_series_dropped_total{family="c_total"}': 2.0,
        }
        assert one.get("len(store.cells)") > 0


def test_log_handler_that_counts(small_disk: Path) -> None:
    """A log handler that counts log lines, as many do, never stands still with the store."""
    harness.fill_disk(small_disk)
    assert call(small_disk / "run", faults.count_log_lines) == [False] * 4


def test_reset_if_idle(store_dir: Path) -> None:
    """A directory is emptied only while no process has a lane, and then starts from zero."""
    reset = (
        "from metrics.shared.files.directory import reset_if_idle as r; print(json.dumps(r(DIR)))"
    )
    assert run(store_dir, reset) is True
    with Peer(store_dir, "c = counter(); c.inc(5)"):
        assert run(store_dir, reset) is False
    # A process that has read the index, but took no lane yet, must not go on with it.
    with Peer(store_dir, "c = counter('c')") as early, Peer(store_dir) as forker:
        forker.run("c = counter('c'); d = counter('d')")
        assert run(store_dir, reset) is True
        assert not list(store_dir.glob("lane-*"))
        late = Peer(store_dir, "b = counter('b'); a = counter('a'); b.inc(); a.inc(3)").ready()
        early.run("c.inc(7)")
        forker.run(
            """
            if not (pid := os.fork()):
                c.inc(2); d.inc(4); os._exit(0)
            os.waitpid(pid, 0)
            """
        )
        wanted = {"a_total": 3.0, "b_total": 1.0, "c_total": 9.0, "d_total": 4.0}
        for peer in (early, late, forker):
            assert peer.scrape() == wanted
            assert peer.left_out() == []
        late.kill()


def test_program_works_where_the_store_cannot(tmp_path: Path) -> None:
    """Without the clients' seam as we know it each process counts for itself, and says so."""
    done = harness.call(tmp_path, faults.lack_the_seam, str(tmp_path), bare=True)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "is not as the shared store relies on" in first
    assert second == "1.0 None"
