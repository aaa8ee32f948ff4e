"""Reconcile against a real data mart: what is missing is named, no more and no less."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from compacting import compact_all
from examples.live import PROGRAMS, SUBSCRIPTION_ID, live_mart
from reconcile_world import FIRST_MINUTE, World, missing_numbers
from running import started, wait_until
from scorespan.conversion.span import ScoringSpan, encode
from scorespan.delivery.settle import STATUS_FILE
from scorespan.reconcile import Gap, Window
from scorespan.spool.counts import FILE
from scorespan.spool.ledger_files import ledger_files
from scorespan.spool.root import prepare_root
from scorespan.spool.spool import Spool


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A running mart and a prepared root."""
    with live_mart(tmp_path) as live:
        yield World(live)


def test_nothing_is_missing_where_all_arrived(world: World):
    """The verdict, the terms, and no names."""
    world.put("p", range(1, 31))
    world.deliver()
    report = world.report()
    assert report.verdict == "nothing is missing: 30 scored = 30 stored"
    assert missing_numbers(report) == {}
    assert report.account.cut == 0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("compacted", [False, True])
def test_entries_cut_out_of_a_segment_are_named(world: World, seed: int, compacted: bool):
    """At whatever places, of several producers: exactly these, also when the ids have gone."""
    chance = random.Random(seed)
    gone: dict[str, set[int]] = {}
    for producer_id in ("p", "q", "r"):
        last = chance.randint(20, 60)
        directory = world.put(producer_id, range(1, last + 1))
        gone[producer_id] = world.cut_out(directory, chance, chance.randint(1, 12))
    world.deliver()
    if compacted:
        compact_all(world.root)
    report = world.report()
    assert missing_numbers(report) == gone
    assert report.lost == []
    assert report.missing == sum(map(len, gone.values()))
    assert report.scored == report.missing + report.account.totals["stored"]


@pytest.mark.parametrize("seed", range(4))
def test_records_deleted_from_the_mart_are_named_by_id(world: World, seed: int):
    """The ledger calls them stored; the mart does not have them."""
    chance = random.Random(seed)
    world.put("p", range(1, 61))
    world.deliver()
    numbers = set(chance.sample(range(1, 61), chance.randint(1, 20)))
    world.delete(*(f"p-{number}" for number in numbers))
    report = world.report()
    assert {lost.scoring_id for lost in report.lost} == {f"p-{number}" for number in numbers}
    assert missing_numbers(report) == {"p": numbers}
    assert report.gaps == report.trailing == report.unnamed == []
    assert report.account.totals["stored"] == 60 - len(numbers)
    (lost,) = {(one.spot.subscription_id, one.spot.deployment_id) for one in report.lost}
    assert lost == (SUBSCRIPTION_ID, "deployment")


def test_records_deleted_from_the_mart_are_named_by_number_when_their_ids_have_gone(world: World):
    """Compaction keeps the numbers, and with them the verdict."""
    world.put("p", range(1, 41))
    world.deliver()
    world.delete("p-7", "p-8", "p-40")
    compact_all(world.root)
    report = world.report()
    assert report.unnamed == [Gap("p", 7, 8), Gap("p", 40, 40)]
    assert report.verdict == "3 records are missing: 40 scored = 37 stored + 3 missing"


def test_a_trailing_loss_is_told_as_a_count(world: World):
    """What a producer counted above everything that is known of it."""
    world.put("p", range(1, 21), scored=23)
    world.deliver()
    report = world.report()
    assert report.trailing == [Gap("p", 21, 23)]
    assert report.gaps == []
    assert report.verdict == "3 records are missing: 23 scored = 20 stored + 3 missing"


def test_a_lost_ledger_is_no_loss_where_the_mart_has_the_records(world: World):
    """The mart's word is enough, whether the producer is known otherwise or not."""
    world.put("p", range(1, 21))
    world.deliver()
    for path in ledger_files(world.root / "ledger"):
        path.unlink()
    assert world.report().missing == 0
    world.put("p", range(21, 31))
    report = world.report()
    assert report.verdict == "nothing is missing: 30 scored = 20 stored + 10 waiting"
    assert report.unexpected == 20


def test_the_mart_knows_higher_numbers_than_anybody_here(world: World):
    """A gap below what only the mart has seen is a gap, too."""
    directory = world.put("p", range(1, 11))
    world.cut_out(directory, random.Random(1), 0)
    world.deliver()
    for path in ledger_files(world.root / "ledger"):
        path.unlink()
    world.delete("p-9")
    world.put("p", [11], scored=11)
    for path in world.root.glob("w-*/status.json"):
        path.unlink()
    # Nothing here tells any more that it counted here.
    report = world.report(patience=0)
    assert (report.gaps, report.account.outstanding) == ([], [Gap("p", 9, 9)])


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_in_ledger_counts_or_status_misses_nothing(world: World, seed: int):
    """The line is not believed and counted as such; what it said, the mart says."""
    chance = random.Random(seed)
    world.put("p", range(1, 31))
    world.deliver()
    compact_all(world.root)
    world.put("p", range(31, 61))
    world.put("q", range(1, 31))
    world.deliver()
    directory = world.put("r", range(1, 11))
    paths = [world.root / "ledger" / FILE, *ledger_files(world.root / "ledger")]
    paths.append(directory / STATUS_FILE)
    for _ in range(20):
        path = chance.choice(paths)
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        report = world.report()
        path.write_bytes(content)
        assert missing_numbers(report) == {}
        assert report.scored == 100
        assert report.account.cut >= (path.name != STATUS_FILE)


def test_compaction_changes_nothing_of_the_account(world: World):
    """Terms for each place and minute are what they were."""
    world.put("p", range(1, 41))
    world.deliver()
    world.put("q", range(1, 6))
    before = world.report().account.by_place(minutes=True)
    compact_all(world.root)
    assert world.report().account.by_place(minutes=True) == before


def test_a_record_under_another_number_is_found_by_its_id(world: World):
    """The same id scored twice is one record in the mart, and none is missing."""
    directory = world.put("p", [1])
    world.deliver()
    assert not directory.exists()
    put_spans(world, world.span("q", 1, scoring_id="p-1"))
    world.deliver()
    report = world.report()
    assert report.verdict == "nothing is missing: 1 scored = 1 stored"
    assert [(one.scoring_id, one.producer_id) for one in report.repeated] == [("p-1", "q")]


def test_a_record_under_another_id_is_missing(world: World):
    """The sets of ids are compared, not only the numbers."""
    world.put("p", range(1, 11))
    world.deliver()
    world.rename("p-4", "another")
    report = world.report()
    assert [lost.scoring_id for lost in report.lost] == ["p-4"]
    assert report.missing == 1


def test_a_conflict_is_listed_and_not_missing(world: World):
    """Another body under a known id: the first one stands, the second one is told."""
    world.put("p", [1, 2])
    world.deliver()
    put_spans(world, world.span("q", 1, scoring_id="p-1"), world.span("q", 2, scoring_id="p-1"))
    world.deliver()
    report = world.report()
    assert report.missing == 0
    assert {conflict.scoring_id for conflict in report.conflicts} == {"p-1"}


def test_open_numbers_of_another_root_are_not_judged(world: World, tmp_path: Path):
    """They may be waiting on another machine."""
    world.put("p", range(1, 11))
    world.deliver()
    here, world.root = world.root, tmp_path / "another"
    prepare_root(world.root)
    world.cut_out(world.put("far", range(1, 21)), random.Random(3), 4)
    world.deliver(spool_dir=str(world.root))
    world.root = here
    report = world.report()
    assert report.missing == 0
    (other,) = report.others
    assert (other.producer_id, other.records) == ("far", 16)
    assert other.open in range(5)


def test_a_window_chooses_by_the_scoring_timestamp(world: World):
    """Records outside are neither counted nor missed; numbers without a name always are."""
    world.cut_out(world.put("p", range(1, 61), scored=61), random.Random(5), 0)
    world.deliver()
    world.delete("p-5", "p-25", "p-55")
    start = datetime.fromtimestamp(FIRST_MINUTE * 60, timezone.utc)
    window = Window(start + timedelta(minutes=2), start + timedelta(minutes=4))
    report = world.report(window=window)
    assert [lost.scoring_id for lost in report.lost] == ["p-25"]
    assert report.account.totals["stored"] == 29
    assert report.trailing == [Gap("p", 61, 61)]
    assert world.report(window=Window(since=start + timedelta(minutes=5))).lost[0].number == 55


STEPS = [
    "reading spool and ledger",
    "reading the data mart",
    "looking for open numbers once more",
    "comparing with the data mart",
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("compacts", [False, True])
def test_what_moves_meanwhile_is_not_missing(world: World, step: str, compacts: bool):
    """Records come, arrive and lose their ids in the middle of it: no gap that is none."""
    world.put("p", [1, 2, 4])
    world.deliver()
    world.put("p", [3, 6, 7], scored=7)
    steps = []

    def move(said: str) -> None:
        steps.append(said)
        if said != step:
            return
        world.put("p", [5, 9], scored=9)
        world.put("q", [1, 3])
        world.deliver()
        if compacts:
            compact_all(world.root)
        world.put("p", [8])
        world.put("q", [2])

    report = world.report(on_step=move)
    assert steps == STEPS
    assert missing_numbers(report) == {}
    assert report.account.outstanding == []
    assert report.lost == report.unnamed == []
    assert missing_numbers(world.report()) == {}


@pytest.mark.timeout(180)
def test_running_writers_never_give_a_false_gap(world: World, tmp_path: Path):
    """Two processes score all the time, and are delivered, while reconcile reads."""
    with scoring(world, tmp_path / "one") as process, scoring(world, tmp_path / "two"):
        for _ in range(10):
            report = world.report()
            assert missing_numbers(report) == {}
            assert report.held == []
            assert process.poll() is None


@pytest.mark.timeout(180)
def test_a_process_that_stands_still_is_not_judged(world: World, tmp_path: Path):
    """Whatever it has open may be on its way; its verdict waits until it moves."""
    with scoring(world, tmp_path / "one") as process:
        os.kill(process.pid, signal.SIGSTOP)
        assert world.report(patience=1.0).missing == 0
        os.kill(process.pid, signal.SIGCONT)
        assert world.report().missing == 0


@contextmanager
def scoring(world: World, mark: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that scores all the time."""
    environment = world.live.environment(SCORESPAN_DATA_MART_KIND="scorespan")
    command = [sys.executable, PROGRAMS / "steady.py", mark]
    with started(command, environment) as process:
        wait_until(lambda: mark.exists() or process.poll() is not None, "the first scoring")
        yield process


def put_spans(world: World, *spans: ScoringSpan) -> None:
    """Put spans as a process that then dies."""
    spool = Spool(world.root, world.route, max_bytes=10**9)
    for span in spans:
        spool.put(encode(span))
    spool.abandon()
