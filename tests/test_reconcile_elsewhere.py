"""The account of producers elsewhere, whose records came through a Collector."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from compacting import compact_all
from examples.live import live_mart
from reconcile_world import World, missing_numbers
from scorespan.conversion.span import ScoringSpan
from scorespan.delivery.settle import STATUS_FILE
from scorespan.reconcile import Gap, Report, read_account
from scorespan.spool.ledger import STORED, Ledger, LedgerItem
from scorespan.spool.root import prepare_root


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A running mart and a prepared root."""
    with live_mart(tmp_path) as live:
        yield World(live)


@pytest.fixture
def other_root(tmp_path: Path) -> Path:
    """The root of another receiver."""
    prepare_root(tmp_path / "another")
    return tmp_path / "another"


def spans(world: World, producer_id: str, *numbers: int) -> list[ScoringSpan]:
    """Numbered spans of an application elsewhere."""
    return [world.span(producer_id, number) for number in numbers]


def unnumbered(world: World, *names: str) -> list[ScoringSpan]:
    """Spans of a language whose instrumentation gives no numbers."""
    return [
        world.span("", 1, scoring_id=name)._replace(producer_id=None, sequence=None)
        for name in names
    ]


def outstanding(report: Report) -> dict[str, set[int]]:
    """Every number that a report calls outstanding, by producer."""
    found: dict[str, set[int]] = {}
    for gap in report.account.outstanding:
        found.setdefault(gap.producer_id, set()).update(range(gap.first, gap.last + 1))
    return found


def test_what_all_came_is_complete(world: World):
    """Of many producers, in whatever order; of what comes behind the last nothing is claimed."""
    mixed = [*spans(world, "a", *range(1, 31)), *spans(world, "pod/b", *range(1, 21))]
    random.Random(1).shuffle(mixed)
    world.receive(*mixed, *unnumbered(world, "x", "y"))
    assert read_account(world.root).outstanding == []
    report = world.report()
    assert report.verdict == "nothing is missing: 52 scored = 52 stored"
    compact_all(world.root)
    assert world.report().verdict == report.verdict


@pytest.mark.parametrize("compacted", [False, True])
def test_a_gap_of_a_producer_elsewhere_is_outstanding(world: World, compacted: bool):
    """It may wait in a Collector: neither is nothing missing, nor is it said to be."""
    world.receive(*spans(world, "a", 1, 2, 5, 7), *unnumbered(world, "x"))
    if compacted:
        compact_all(world.root)
    report = world.report(patience=0)
    assert outstanding(report) == {"a": {3, 4, 6}}
    assert missing_numbers(report) == {}
    assert not report.is_complete
    known = report.as_dict()
    assert (known["scored"], known["missing"], known["outstanding"]) == (8, 0, 3)
    assert known["outstanding_numbers"] == [
        {"producer_id": "a", "first": 3, "last": 4},
        {"producer_id": "a", "first": 6, "last": 6},
    ]
    assert report.verdict == (
        "3 records are outstanding, on the way or lost: 8 scored = 5 stored + 3 outstanding"
    )
    world.receive(*spans(world, "a", 3, 4, 6))
    assert world.report().verdict == "nothing is missing: 8 scored = 8 stored"


@pytest.mark.parametrize("compacted", [False, True])
def test_a_gap_of_a_process_in_the_root_stays_missing(world: World, compacted: bool):
    """Also of one that was killed before it had said how far it had counted."""
    ledger = Ledger(world.root / "ledger", "w-1", route=world.route, producer_id="own")
    ledger.append(
        LedgerItem(STORED, "s", "d", producer, number, f"{producer}-{number}", 1)
        for producer in ("own", "far")
        for number in (1, 3)
    )
    ledger.close()
    if compacted:
        compact_all(world.root)
        compact_all(world.root)
    account = read_account(world.root)
    assert account.missing == [Gap("own", 2, 2)]
    assert account.outstanding == [Gap("far", 2, 2)]
    assert account.scored == 5


@pytest.mark.parametrize("by_another", [False, True])
def test_numbers_that_were_only_reordered_are_waited_for(
    world: World, other_root: Path, by_another: bool
):
    """Senders work side by side: what comes while reconcile looks is not outstanding."""
    world.receive(*spans(world, "a", 1, 4))
    waited = 0

    def wait(_: float) -> None:
        nonlocal waited
        waited += 1
        if waited < 3:
            late = spans(world, "a", 4 - waited)
            world.receive(*late, root=other_root if by_another else None)

    report = world.report(wait=wait)
    assert report.verdict == "nothing is missing: 4 scored = 4 stored"
    assert waited == 2
    assert report.by_others == (2 if by_another else 0)


@pytest.mark.parametrize("seed", range(3))
def test_what_another_receiver_delivered_is_known_by_the_mart(
    world: World, other_root: Path, seed: int
):
    """Each receiver has a part of the numbers; outstanding is exactly what is nowhere."""
    chance = random.Random(seed)
    here: list[ScoringSpan] = []
    there: list[ScoringSpan] = []
    nowhere: dict[str, set[int]] = {}
    for producer_id in ("a", "b", "c"):
        last = chance.randint(10, 40)
        for number in range(1, last + 1):
            place = chance.random()
            if number < last and place < 0.1:
                nowhere.setdefault(producer_id, set()).add(number)
            else:
                (here if place < 0.6 else there).append(world.span(producer_id, number))
    world.receive(*here)
    world.receive(*there, root=other_root)
    account = read_account(world.root)
    assert (account.missing, account.is_complete) == ([], True)
    assert account.scored == len(here)
    report = world.report(patience=0)
    assert outstanding(report) == nowhere
    assert (report.missing, report.unexpected, report.by_others) == (0, 0, len(there))
    assert report.scored == len(here) + len(there) + report.outstanding
    assert report.others == []


def test_what_waits_or_is_dead_is_not_outstanding(world: World):
    """It came, whatever became of it."""
    refused = world.span("a", 1, subscription_id="nobody")
    world.receive(refused, *spans(world, "a", 2, 4))
    directory = world.put("a", [3])
    (directory / STATUS_FILE).unlink()
    report = world.report()
    assert report.verdict == "nothing is missing: 4 scored = 2 stored + 1 waiting + 1 dead-lettered"


@pytest.mark.parametrize("compacted", [False, True])
def test_a_stored_record_that_has_gone_is_missing(world: World, compacted: bool):
    """Whoever numbered it: it was here, and the ledger says that the mart had it."""
    world.receive(*spans(world, "a", *range(1, 11)))
    world.delete("a-4")
    if compacted:
        compact_all(world.root)
    report = world.report(patience=0)
    assert missing_numbers(report) == {"a": {4}}
    assert (report.missing, report.outstanding) == (1, 0)


def test_a_numbered_batch_that_came_twice_counts_once(world: World, other_root: Path):
    """Sent again after a lost answer, to whichever receiver: the names are the same."""
    batch = spans(world, "a", *range(1, 11))
    world.receive(*batch)
    world.receive(*batch)
    world.receive(*batch, root=other_root)
    report = world.report()
    assert report.verdict == "nothing is missing: 10 scored = 10 stored"
    assert (report.repeated, report.conflicts, report.by_others) == ([], [], 0)


@pytest.mark.parametrize("kind", ["scorespan", "openscale"])
def test_a_batch_without_numbers_that_came_twice_counts_once(world: World, kind: str):
    """Each copy got a number of its own; the data mart has one record, and so has the account."""
    batch = unnumbered(world, "x", "y", "z")
    world.receive(*batch)
    world.receive(*batch[:2])
    assert read_account(world.root).totals["stored"] == 5
    report = world.report(data_mart_kind=kind)
    assert report.verdict == "nothing is missing: 3 scored = 3 stored"
    assert sorted(one.scoring_id or "" for one in report.repeated) == ["x", "y"]
    assert (report.unexpected, report.conflicts, report.doubled) == (0, [], [])


@pytest.mark.parametrize("kind", ["scorespan", "openscale"])
def test_a_batch_that_came_twice_and_has_gone_is_missing_once(world: World, kind: str):
    """One record, one loss, however many numbers it had."""
    batch = unnumbered(world, "x", "y")
    world.receive(*batch)
    world.receive(*batch)
    world.delete("x")
    report = world.report(data_mart_kind=kind)
    assert [lost.scoring_id for lost in report.lost] == ["x"]
    assert len(report.repeated) == 2
    assert report.verdict == "1 record is missing: 2 scored = 1 stored + 1 missing"


def test_towards_a_mart_without_numbers_gaps_are_told_all_the_same(world: World):
    """What another receiver delivered cannot be known there."""
    world.receive(*spans(world, "a", 1, 3))
    report = world.report(data_mart_kind="openscale", patience=0)
    assert outstanding(report) == {"a": {2}}
    assert not report.is_complete
