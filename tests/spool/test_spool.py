"""The spool: a put survives, a claim comes once, and what is settled never comes again."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from scorespan.errors import (
    SpoolClosedError,
    SpoolError,
    SpoolFullError,
    SpoolGoneError,
    SpoolSmallError,
)
from scorespan.spool.acks import acks_path
from scorespan.spool.root import Route, directories, prepare_root
from scorespan.spool.segment import segments_of
from scorespan.spool.spool import Spool

ROUTE = Route("http://mart", "one")
MANY = 10**9


@pytest.fixture
def spool(root: Path) -> Iterator[Spool]:
    """An open spool."""
    opened = open_spool(root)
    yield opened
    opened.close()


def open_spool(root: Path, max_bytes: int = MANY, route: Route = ROUTE) -> Spool:
    """A spool of this process."""
    return Spool(root, route, max_bytes=max_bytes)


def bodies(spool: Spool) -> list[bytes]:
    """Claim everything; the bodies in order."""
    found = []
    more = True
    while more:
        entries, more = spool.claim(1000, 10)
        found += [entry.body for entry in entries]
    return found


def die(spool: Spool) -> None:
    """What a kill leaves: descriptors gone, nothing written."""
    spool.abandon()


def test_entries_are_claimed_in_order_and_once(spool: Spool):
    """What was put comes in its order; a second claim finds nothing."""
    for number in range(100):
        spool.put([b"n", b"%d" % number])
    assert bodies(spool) == [b"n%d" % number for number in range(100)]
    assert bodies(spool) == []


def test_an_unsettled_entry_survives_the_death_of_its_process(root: Path):
    """Another process of the same route adopts the directory and delivers what was not settled."""
    dead = open_spool(root)
    for number in range(10):
        dead.put([b"%d" % number])
    entries, _ = dead.claim(MANY, 4)
    dead.settle(entries)
    die(dead)
    heir = open_spool(root)
    assert [path.name for path in heir.adopt()] == [dead.name]
    assert bodies(heir) == [b"%d" % number for number in range(4, 10)]
    heir.close()


def test_another_route_does_not_adopt(root: Path):
    """Entries wait for a process that goes to their data mart."""
    dead = open_spool(root)
    dead.put([b"one"])
    die(dead)
    other = open_spool(root, route=Route("http://mart", "two"))
    assert other.adopt() == []
    assert bodies(other) == []
    other.close()


def test_many_orphans_are_adopted_a_few_at_a_time(root: Path):
    """Descriptors stay bounded however often a process has died; all entries come."""
    for number in range(30):
        dead = open_spool(root)
        dead.put([b"%d" % number])
        die(dead)
    heir = open_spool(root)
    found: list[bytes] = []
    more = True
    while more:
        taken = heir.adopt()
        assert len(taken) <= 8
        entries, more = heir.claim(MANY, 1000)
        heir.settle(entries)
        found += [entry.body for entry in entries]
        more = more or bool(taken)
    assert sorted(found) == sorted(b"%d" % number for number in range(30))
    assert directories(root) == [heir.path]
    heir.close()


def test_what_other_processes_hold_is_counted_anew(root: Path):
    """The bound is the root's: what others drained makes room here."""
    other = open_spool(root)
    other.put([b"x" * 5000])
    spool = open_spool(root, max_bytes=6000)
    spool.recount()
    with pytest.raises(SpoolFullError):
        spool.put([b"y" * 2000])
    other.settle(other.claim(MANY, 1).entries)
    other._writer.roll()
    other.claim(MANY, 1)
    spool.recount()
    spool.put([b"y" * 2000])
    other.close()
    spool.close()


def test_an_exception_in_the_middle_of_a_put_costs_nothing_that_follows(root: Path):
    """A signal handler that raises anywhere in a put leaves no hole for the reader."""
    script = f"""
import signal
from pathlib import Path
from scorespan.errors import SpoolError
from scorespan.spool.root import Route
from scorespan.spool.spool import Spool

def interrupt(*_):
    global armed
    signal.setitimer(signal.ITIMER_REAL, 0.0001)
    if armed:
        armed = False
        raise TimeoutError

spool = Spool(Path({str(root)!r}), Route(*{tuple(ROUTE)!r}), max_bytes=10**9)
signal.signal(signal.SIGALRM, interrupt)
accepted, number, interrupted, armed = [], 0, 0, False
signal.setitimer(signal.ITIMER_REAL, 0.0001)
while interrupted < 300:
    try:
        number += 1
        armed = True
        spool.put([b"%d:" % number, b"x" * (number % 500)])
        armed = False
        accepted.append(number)
    except (TimeoutError, SpoolError):
        interrupted += 1
signal.signal(signal.SIGALRM, signal.SIG_IGN)
print(*accepted, flush=True)
spool.abandon()
"""
    printed = subprocess.check_output([sys.executable, "-c", script], text=True)
    accepted = set(map(int, printed.split()))
    heir = open_spool(root)
    heir.adopt()
    found = {int(body.partition(b":")[0]) for body in bodies(heir)}
    assert accepted <= found
    assert heir.damaged_bytes == 0
    heir.close()


def test_a_drained_directory_is_removed(root: Path):
    """Neither an orphan that is drained nor an empty directory that is closed stays."""
    dead = open_spool(root)
    dead.put([b"one"])
    die(dead)
    heir = open_spool(root)
    heir.adopt()
    entries, _ = heir.claim(MANY, 10)
    heir.settle(entries)
    heir.claim(MANY, 10)
    assert directories(root) == [heir.path]
    heir.close()
    assert directories(root) == []


def test_a_closed_spool_keeps_what_is_unsettled(root: Path):
    """Claimed and unclaimed entries are there for the next process."""
    spool = open_spool(root)
    for number in range(4):
        spool.put([b"%d" % number])
    spool.claim(MANY, 2)
    spool.close()
    heir = open_spool(root)
    heir.adopt()
    assert bodies(heir) == [b"0", b"1", b"2", b"3"]
    heir.close()


def test_lost_acks_cost_duplicates_only(root: Path):
    """Without its acks file a segment comes whole again."""
    dead = open_spool(root)
    for number in range(3):
        dead.put([b"%d" % number])
    entries, _ = dead.claim(MANY, 2)
    dead.settle(entries)
    die(dead)
    for segment in segments_of(dead.path):
        acks_path(segment).unlink()
    heir = open_spool(root)
    heir.adopt()
    assert bodies(heir) == [b"0", b"1", b"2"]
    heir.close()


def test_a_missing_segment_does_not_stop_the_others(root: Path):
    """The reader goes on to the next file that is there."""
    dead = open_spool(root)
    for number in range(3):
        dead.put([b"%d" % number])
        dead._writer.roll()
    die(dead)
    segments_of(dead.path)[1].unlink()
    heir = open_spool(root)
    heir.adopt()
    assert bodies(heir) == [b"0", b"2"]
    heir.close()


def test_a_rolled_segment_is_deleted_when_all_of_it_is_settled(spool: Spool):
    """Disk is given back segment by segment."""
    spool.put([b"x" * 1000])
    spool._writer.roll()
    spool.put([b"y"])
    held = spool.size
    entries, _ = spool.claim(MANY, 1)
    spool.settle(entries)
    spool.claim(MANY, 0)
    spool.settle(spool.claim(MANY, 10).entries)
    assert len(segments_of(spool.path)) == 1
    assert spool.size < held - 1000


def test_a_full_spool_refuses_and_keeps_what_it_has(root: Path):
    """The bound is a bound of bytes; the newest is refused, never the oldest dropped."""
    spool = open_spool(root, max_bytes=2000)
    taken = 0
    while spool.size + 122 <= 2000:
        spool.put([b"x" * 100])
        taken += 1
    with pytest.raises(SpoolFullError, match="of 2000 bytes"):
        spool.put([b"x" * 100])
    assert len(bodies(spool)) == taken > 5
    spool.close()


def test_a_put_waits_for_room_as_long_as_it_is_told(root: Path):
    """Room that is given back in time lets the put through."""
    spool = Spool(root, ROUTE, max_bytes=3000, full_wait=30)
    spool.put([b"x" * 2000])
    spool._writer.roll()
    waiting = threading.Thread(target=spool.put, args=([b"y" * 2000],))
    waiting.start()
    first = spool.claim(MANY, 10).entries
    assert [entry.body for entry in first] == [b"x" * 2000]
    spool.settle(first)
    waiting.join(10)
    assert bodies(spool) == [b"y" * 2000]
    spool.close()


def test_a_closed_spool_refuses(spool: Spool):
    """A put after the end is an error, not a silent loss."""
    spool.close()
    with pytest.raises(SpoolClosedError):
        spool.put([b"late"])


def test_released_entries_come_again_and_settled_ones_do_not(spool: Spool):
    """After a fault of ours the unsettled part of a claim is claimed once more."""
    for number in range(6):
        spool.put([b"%d" % number])
    entries, _ = spool.claim(MANY, 4)
    spool.settle(entries[1:3])
    spool.release()
    assert bodies(spool) == [b"0", b"3", b"4", b"5"]


def test_puts_of_many_threads_are_all_there(spool: Spool):
    """No entry is lost or torn under eight writers while a reader claims."""

    def write(name: int) -> None:
        for number in range(300):
            spool.put([b"%d-" % name, b"%d" % number])

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    found: list[bytes] = []
    while any(thread.is_alive() for thread in threads):
        found += bodies(spool)
    found += bodies(spool)
    assert sorted(found) == sorted(b"%d-%d" % (n, m) for n in range(8) for m in range(300))


def test_a_short_write_is_cut_back(root: Path):
    """Where the disk takes only a part, nothing of the entry stays, and later ones are readable."""
    script = f"""
import resource
from pathlib import Path
from scorespan.errors import SpoolError
from scorespan.spool.root import Route
from scorespan.spool.spool import Spool
spool = Spool(Path({str(root)!r}), Route(*{tuple(ROUTE)!r}), max_bytes=10**9)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
kept = 0
try:
    while True:
        spool.put([b"x" * 300])
        kept += 1
except SpoolError as error:
    assert "cannot be written" in str(error), error
spool.put([b"small"])
print(kept, flush=True)
spool.abandon()
"""
    kept = int(subprocess.check_output([sys.executable, "-c", script], text=True))
    heir = open_spool(root)
    heir.adopt()
    assert bodies(heir) == [b"x" * 300] * kept + [b"small"]
    assert heir.damaged_bytes == 0
    heir.close()


def test_entries_of_a_damaged_segment_are_delivered_but_for_the_damaged(root: Path):
    """Damage is handed out as what it is, and counted; all other entries come."""
    dead = open_spool(root)
    for number in range(3):
        dead.put([b"body-%d" % number])
    die(dead)
    segment = segments_of(dead.path)[0]
    segment.write_bytes(segment.read_bytes().replace(b"body-1", b"bodyX1"))
    heir = open_spool(root)
    heir.adopt()
    entries = heir.claim(MANY, 10).entries
    assert [entry.body for entry in entries if not entry.damaged] == [b"body-0", b"body-2"]
    (damaged,) = [entry for entry in entries if entry.damaged]
    assert segment.read_bytes()[-damaged.sequence :].startswith(damaged.body)
    assert damaged.body.endswith(b"bodyX1")
    assert heir.damaged_bytes == len(damaged.body)
    heir.close()


def test_the_directory_is_made_with_the_spool_and_held(spool: Spool, root: Path):
    """One directory for each process, named after it."""
    assert directories(root) == [spool.path]
    assert spool.name.startswith(f"w-{os.getpid()}-")


def test_a_spool_whose_folder_is_gone_refuses_but_does_not_break(root: Path):
    """Nothing but our own errors leaves a put, even where descriptors are used up."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spool = open_spool(root)
    spool.put([b"x"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        spool.put([b"y"])  # needs no new descriptor
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    spool._writer.segments.live.close()
    with pytest.raises(SpoolError):
        spool.put([b"z"])
    spool.abandon()


def test_what_is_settled_in_the_open_segment_makes_room(root: Path):
    """A spool that is full of settled entries is not full for ever."""
    spool = open_spool(root, max_bytes=3000)
    spool.put([b"x" * 2000])
    spool.settle(spool.claim(MANY, 1).entries)
    with pytest.raises(SpoolFullError):
        spool.put([b"y" * 2000])
    while len(segments_of(spool.path)) < 2:
        assert spool.arrived.wait(10)
        spool.arrived.clear()
    assert spool.claim(MANY, 10).entries == []
    spool.put([b"y" * 2000])
    spool.close()


def test_a_put_that_waits_gets_the_room_of_what_is_settled_in_the_open_segment(root: Path):
    """Nobody waits in vain for bytes that only the end of the segment gives back."""
    spool = Spool(root, ROUTE, max_bytes=3000, full_wait=60)
    spool.put([b"x" * 2000])
    spool.settle(spool.claim(MANY, 1).entries)
    waiting = threading.Thread(target=spool.put, args=([b"y" * 2000],))
    waiting.start()
    while waiting.is_alive():
        assert spool.arrived.wait(30)
        spool.arrived.clear()
        spool.claim(MANY, 10)
        waiting.join(0.01)
    assert spool.waiting == 1
    spool.close()


def test_the_ledger_does_not_fill_the_spool(root: Path):
    """What grows with what was delivered must not stop what comes."""
    (root / "ledger" / "old.ledger").write_bytes(b"x" * 100_000)
    (root / "dead" / "one.letter").write_bytes(b"x" * 100)
    spool = open_spool(root, max_bytes=3000)
    spool.recount()
    assert 100 < spool.size < 3000
    spool.put([b"y" * 1000])
    spool.close()


def test_what_never_has_room_is_told_apart(root: Path):
    """From what has none now, so that somebody sees that waiting does not help."""
    spool = open_spool(root, max_bytes=3000)
    spool.put([b"y" * 2000])
    for size, small in ((2000, False), (3001, True)):
        with pytest.raises(SpoolFullError) as caught:
            spool.put_all([], size)
        assert isinstance(caught.value, SpoolSmallError) is small
    spool.close()
    spool = open_spool(root, max_bytes=2**62)
    with pytest.raises(SpoolSmallError, match="however empty"):
        spool.put_all([], 2**60)
    spool.close()


def test_a_directory_that_was_removed_is_seen_and_refused(root: Path):
    """Entries are not written into a file that no other process could ever find."""
    spool = open_spool(root)
    shutil.rmtree(spool.path)
    spool.put([b"x"])
    assert spool.arrived.wait(10)
    assert spool.gone
    with pytest.raises(SpoolGoneError, match="removed"):
        spool.put([b"y"])
    spool.abandon()


class SpoolMachine(RuleBasedStateMachine):
    """Puts, claims, settlements, releases, rolls and deaths in any order lose nothing."""

    root: Path

    def __init__(self) -> None:
        super().__init__()
        self.spool = open_spool(self.root)
        self.put_bodies: list[bytes] = []
        self.settled: set[bytes] = set()
        self.claimed: list = []

    @rule(size=st.integers(0, 400))
    def put(self, size: int) -> None:
        """Put one entry."""
        body = b"%d:" % len(self.put_bodies) + b"x" * size
        self.spool.put([body])
        self.put_bodies.append(body)

    @rule(count=st.integers(1, 5))
    def claim(self, count: int) -> None:
        """Claim some."""
        self.claimed += self.spool.claim(500, count).entries

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Settle some of the claimed, in any order."""
        chosen = data.draw(st.sets(st.integers(0, len(self.claimed) - 1), min_size=1))
        entries = [self.claimed[place] for place in chosen]
        self.spool.settle(entries)
        self.settled |= {entry.body for entry in entries}
        self.claimed = [e for place, e in enumerate(self.claimed) if place not in chosen]

    @rule()
    def release(self) -> None:
        """Give the claimed back."""
        self.spool.release()
        self.claimed = []

    @rule()
    def roll(self) -> None:
        """Begin a new segment."""
        self.spool._writer.roll()

    @rule()
    def die_and_adopt(self) -> None:
        """Another process takes over."""
        die(self.spool)
        self.spool = open_spool(self.root)
        self.spool.adopt()
        self.claimed = []

    @invariant()
    def nothing_settled_is_claimed(self) -> None:
        """What is settled is not in hand again."""
        assert not {entry.body for entry in self.claimed} & self.settled

    def teardown(self) -> None:
        """In the end the rest comes, once, and nothing else."""
        self.spool.release()
        rest: list[bytes] = []
        more = True
        while more:
            taken = self.spool.adopt()
            entries, more = self.spool.claim(MANY, MANY)
            self.spool.settle(entries)
            rest += [entry.body for entry in entries]
            more = more or bool(taken)
        assert sorted(rest) == sorted(set(self.put_bodies) - self.settled)
        self.spool.close()


def test_no_history_of_a_spool_loses_an_entry(tmp_path_factory: pytest.TempPathFactory):
    """A state machine over everything that one process and its heirs may do."""

    class Machine(SpoolMachine):
        root = tmp_path_factory.mktemp("machine")

        def __init__(self) -> None:
            type(self).root = tmp_path_factory.mktemp("machine")
            prepare_root(self.root)
            super().__init__()

    run_state_machine_as_test(Machine, settings=settings(max_examples=40, deadline=None))
