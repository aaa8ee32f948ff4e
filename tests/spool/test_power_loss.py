"""Power loss, failing syncs and kills in any order: nothing that was promised is lost.

A state machine drives the real spool on a model of a file system. `SCORESPAN_FAULTS=soak` runs
many more histories.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from faults.size import sized
from scorespan.errors import SpoolError
from scorespan.spool.adoption import MOST_ADOPTED
from scorespan.spool.reader import Entry
from scorespan.spool.root import Route, directories, prepare_root
from scorespan.spool.spool import Spool
from spool.model_files import ModelFiles
from spool.parts import Bodies

ROUTE = Route("http://mart", "one")
MANY = 10**9
HISTORIES = sized(200, 100_000)


class PowerLoss(RuleBasedStateMachine):
    """One spool after another on a disk that fails.

    `safe` is what must be there whatever happens, `accepted` what a kill must not lose,
    `attempted` all that may be there.
    """

    durable: ClassVar[bool]

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        """A disk, and a spool on it."""
        self.random = Random(seed)
        self.folder = Path(tempfile.mkdtemp(prefix="scorespan-power-"))
        self.turn = 0
        self.failed = False
        self.attempted: set[bytes] = set()
        self.accepted: set[bytes] = set()
        self.safe: set[bytes] = set()
        self.settled: set[bytes] = set()
        root = self.folder / "0"
        prepare_root(root)
        self.files = ModelFiles(root, self.random)
        self.open()

    def open(self) -> None:
        """Another process, as it were."""
        self.spool = Spool(
            self.files.root,
            ROUTE,
            max_bytes=MANY,
            durable=self.durable,
            files=self.files,
            sync_seconds=None,
        )
        self.own: set[bytes] = set()
        self.in_hand: list[Entry] = []
        self.seen: set[bytes] = set()

    @rule(size=st.one_of(st.integers(0, 600), st.integers(0, 20_000)))
    def put(self, size: int) -> None:
        """Put an entry that is like no other."""
        body = self.body(size)
        self.failed |= self.files.failing
        try:
            self.spool.put([body[:3], body[3:]])
        except SpoolError:
            return
        self.accepted.add(body)
        self.own.add(body)
        if self.durable:
            self.safe.add(body)

    def body(self, size: int) -> bytes:
        """A body that is like no other; one more that may be there."""
        body = b"%d:" % len(self.attempted) + self.random.randbytes(size)
        self.attempted.add(body)
        return body

    @rule(sizes=st.lists(st.lists(st.integers(0, 6000), min_size=1, max_size=5), max_size=3))
    def put_all(self, sizes: list[list[int]]) -> None:
        """Put entries in parts; those of a part are all there for whoever reads, or none is."""
        parts = [Bodies([self.body(size) for size in part]) for part in sizes]
        self.failed |= self.files.failing
        before = self.spool._writer.appended
        try:
            self.spool.put_all(parts, 0)
        except SpoolError:
            taken = self.spool._writer.appended - before
            assert taken in itertools.accumulate(map(len, sizes), initial=0)
            return
        bodies = {body for part in parts for body in part.bodies}
        self.accepted |= bodies
        self.own |= bodies
        if self.durable:
            self.safe |= bodies

    @rule()
    def sync(self) -> None:
        """Sync; where it says that it went well, all is on the disk."""
        self.failed |= self.files.failing
        try:
            self.spool.sync()
        except OSError:
            return
        assert self.spool.synced
        self.safe |= self.own

    @rule()
    def roll(self) -> None:
        """Go on in another segment."""
        self.spool._writer.roll_soon()
        self.sync()

    @rule(count=st.sampled_from([1, 1, 1, 2, 3, 5]), evicts=st.booleans())
    def fail_syncs(self, count: int, evicts: bool) -> None:
        """The next syncs fail."""
        self.files.failing_syncs = count
        self.files.evicts = evicts

    @rule(count=st.integers(1, 2))
    def fail_writes(self, count: int) -> None:
        """The next writes stop in the middle."""
        self.files.failing_writes = count

    @rule()
    def fail_cut(self) -> None:
        """The next cut fails."""
        self.files.failing_cuts = 1

    @rule(count=st.integers(1, 20), room=st.sampled_from([100, 5000, MANY]))
    def claim(self, count: int, room: int) -> None:
        """Claim some; without a crash no byte is damaged, and without a fault none comes twice."""
        entries = self.spool.claim(room, count).entries
        assert len(entries) <= 1 or sum(len(entry.body) for entry in entries) <= room
        for entry in entries:
            assert not entry.damaged
            assert entry.body in self.attempted
            assert self.failed or entry.body not in self.seen
            self.seen.add(entry.body)
        self.in_hand += entries

    @rule(part=st.sampled_from([0.1, 0.5, 1.0]))
    def settle(self, part: float) -> None:
        """Settle some of what is in hand, in any order."""
        # What hypothesis draws must not hang on names and times, which are never the same.
        self.random.shuffle(self.in_hand)
        count = round(part * len(self.in_hand))
        entries, self.in_hand = self.in_hand[:count], self.in_hand[count:]
        self.spool.settle(entries)
        self.settled |= {entry.body for entry in entries}

    @rule()
    def release(self) -> None:
        """Give what is in hand back."""
        self.spool.release()
        self.seen -= {entry.body for entry in self.in_hand}
        self.in_hand = []

    @rule()
    def kill(self) -> None:
        """The process dies; what the system has in memory stays."""
        if self.is_crowded():
            return
        whole = self.spool.synced or not self.failed
        self.spool.abandon()
        self.no_more_faults()
        self.open()
        # Found now is not yet safe: what the system has in memory may still be lost.
        self.accepted &= self.take_stock(self.accepted if whole else self.safe)

    @rule()
    def lose_power(self) -> None:
        """The machine dies; what is not synced is lost, kept or torn."""
        if not self.is_crowded():
            self.crash()

    def is_crowded(self) -> bool:
        """Whether another heir could not adopt all at once, and so not look at all."""
        return len(directories(self.files.root)) >= MOST_ADOPTED

    def crash(self) -> None:
        """Lose power."""
        self.spool.abandon()
        self.no_more_faults()
        self.turn += 1
        root = self.folder / str(self.turn)
        prepare_root(root)
        for name in ("dead", "withheld", "ledger"):
            (root / name).rmdir()
        self.files.crash(root)
        shutil.rmtree(self.files.root)
        self.files = ModelFiles(root, self.random)
        self.open()
        self.safe = self.take_stock(self.safe)
        self.accepted = set(self.safe)

    def take_stock(self, promised: set[bytes]) -> set[bytes]:
        """Look at all that is there; what was promised and was never settled must be.

        A failed sync may leave an entry twice: settled once, it is promised no more, though its
        other copy comes again.
        """
        found: set[bytes] = set()
        damaged = []
        more = True
        while more:
            taken = self.spool.adopt()
            entries, more = self.spool.claim(MANY, MANY)
            found |= {entry.body for entry in entries if not entry.damaged}
            damaged += [entry for entry in entries if entry.damaged]
            more = more or bool(taken)
        assert promised - self.settled <= found
        assert found <= self.attempted
        self.spool.settle(damaged)  # as dead letters
        self.spool.release()
        return found | self.settled

    def no_more_faults(self) -> None:
        """The next process has a disk that works."""
        self.files.failing_syncs = self.files.failing_writes = self.files.failing_cuts = 0

    @invariant()
    def a_durable_put_is_synced(self) -> None:
        """In durable mode nothing is accepted that may be lost."""
        if self.durable:
            assert self.accepted <= self.safe

    def teardown(self) -> None:
        """In the end all that was promised is there."""
        if hasattr(self, "spool"):
            self.crash()
            self.no_more_faults()
            self.spool.close()
            shutil.rmtree(self.folder)


@pytest.mark.timeout(sized(120, 24 * 3600))
@pytest.mark.parametrize("durable", [True, False], ids=["durable", "written"])
def test_no_history_of_a_disk_loses_what_was_promised(durable: bool):
    """Durable: all that was accepted. Written: all that was accepted before the last good sync."""

    class Machine(PowerLoss):
        pass

    Machine.durable = durable
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
