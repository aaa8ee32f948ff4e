"""Settling: what is written down, and that nothing of it is dropped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson
import pytest

from scorespan import producer
from scorespan.conversion.span import ScoringSpan, encode
from scorespan.delivery.batch import dead_letter, ledger_item, read_items
from scorespan.delivery.refused import Refused
from scorespan.delivery.settle import STATUS_FILE, WITHHELD_BYTES, Settler, counted_by, read_status
from scorespan.producer import Counted
from scorespan.reconcile import Gap, read_account
from scorespan.spool.counts import FILE
from scorespan.spool.dead import read_letters
from scorespan.spool.ledger import REFUSED, STORED, WITHHELD, Ledger, LedgerItem
from scorespan.spool.ledger_files import Scored, ledger_files, read_ledger
from scorespan.spool.root import Route, prepare_root
from scorespan.spool.spool import Spool

ROUTE = Route("http://mart", "one")
MOST = 100_000


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A spool in a prepared root."""
    prepare_root(tmp_path / "root")
    made = Spool(tmp_path / "root", ROUTE, max_bytes=10**9)
    yield made
    made.close()


@pytest.fixture
def counted() -> Counted:
    """The producers whose numbers come there."""
    return Counted()


@pytest.fixture
def settler(spool: Spool, counted: Counted) -> Iterator[Settler]:
    """Its settler."""
    made = Settler(spool, counted=counted)
    yield made
    made.abandon()


def refused(number: int, minute: int = 5) -> LedgerItem:
    """A record that was refused at the door."""
    return LedgerItem(REFUSED, "s", "d", "p", number, f"id-{number}", minute)


def test_a_ledger_begins_with_the_route_and_the_producer(
    spool: Spool, settler: Settler, counted: Counted
):
    """Before the first record: whoever reads knows whose numbers come here."""
    (path,) = ledger_files(spool.root / "ledger")
    assert next(read_ledger(path)) == Scored(ROUTE, counted.own.id, 0, spool.name)


@pytest.mark.parametrize("folder", ["dead", "withheld"])
def test_letters_say_where_the_entry_was_to_go(spool: Spool, settler: Settler, folder: str):
    """So that they can be requeued."""
    spool.put(encode(ScoringSpan(producer_id="p", sequence=1, scoring_id="id-1")))
    _, items = read_items(spool.claim(10**6, 10).entries)
    letters = [dead_letter(one, "code", "reason") for one in items]
    (settler.dead_letter if folder == "dead" else settler.withhold)(items, letters)
    (letter,) = read_letters(spool.root / folder)
    assert letter.route == tuple(ROUTE)
    totals = read_account(spool.root).totals
    assert totals["dead-lettered" if folder == "dead" else WITHHELD] == 1


def test_room_that_a_requeue_gave_back_takes_withheld_bodies_again(spool: Spool):
    """Withheld bodies are kept up to a bound of what is there, not of what once was."""
    others = spool.root / "withheld" / "others.letter"
    with others.open("wb") as file:
        file.truncate(WITHHELD_BYTES)
    settler = Settler(spool)
    for number in (1, 2):
        span = ScoringSpan(producer_id="p", sequence=number, scoring_id=f"id-{number}")
        spool.put(encode(span))
        _, items = read_items(spool.claim(10**6, 10).entries)
        settler.withhold(items, [dead_letter(one, "code", "reason") for one in items])
        others.unlink(missing_ok=True)
    assert [letter.scoring_id for letter in read_letters(spool.root / "withheld")] == ["id-2"]
    settler.abandon()
    assert read_account(spool.root).totals[WITHHELD] == 2


def test_refused_records_beyond_the_bound_are_kept_by_number(spool: Spool, settler: Settler):
    """A hundred thousand names wait for the ledger; of more the numbers do, and none is dropped."""
    more = 500
    for number in range(1, MOST + more + 1):
        settler.refuse(refused(number, minute=number % 2))
    settler.write_status(blocked=None)
    account = read_account(spool.root)
    assert account.missing == []
    assert account.totals["refused"] == settler.counts[REFUSED] == MOST + more
    assert len(account.items) == MOST
    assert {
        (place.minute, terms["refused"]) for place, terms in account.by_place(minutes=True).items()
    } == {(0, (MOST + more) // 2), (1, (MOST + more) // 2)}


def test_two_threads_that_write_the_refused_drop_none(spool: Spool, settler: Settler):
    """The second leaves it to the first; what came meanwhile is written the next time."""
    waiting = Refused()
    counts = {"refused": 0}

    class Slow(Ledger):
        def append(self, items: Iterable[LedgerItem]) -> None:
            super().append(items)
            waiting.add(refused(2))
            waiting.write(self, counts)
            assert counts == {"refused": 0}

    ledger = Slow(spool.root / "ledger", "slow", route=ROUTE)
    waiting.add(refused(1))
    waiting.write(ledger, counts)
    assert counts == {"refused": 1}
    ledger.close()
    settler._refused = waiting
    settler.write_status(blocked=None)
    assert read_account(spool.root).totals["refused"] == 2


def test_what_is_refused_after_the_end_is_written_down(spool: Spool, settler: Settler):
    """To a file of its own each time."""
    settler.refuse(refused(1))
    settler.close(blocked=None)
    settler.refuse(refused(2))
    settler.refuse(refused(3))
    assert read_account(spool.root).totals["refused"] == 3


def test_old_ledger_files_become_counts_now_and_then(spool: Spool, settler: Settler):
    """By the thread that settles; nothing of the account changes."""
    old = Ledger(spool.root / "ledger", "w-old", route=ROUTE)
    old.append(refused(number)._replace(outcome=STORED) for number in range(1, 50))
    old.close()
    path = spool.root / "ledger" / "w-old.ledger"
    os.utime(path, (0, 0))
    before = read_account(spool.root, names=False)
    settler.write_status(blocked=None)
    assert not path.exists()
    assert (spool.root / "ledger" / FILE).exists()
    after = read_account(spool.root, names=False)
    assert after.by_place(minutes=True) == before.by_place(minutes=True)
    assert after.totals["stored"] == 49


def test_numbers_that_were_brought_count_when_the_process_has_ended(
    spool: Spool, settler: Settler, counted: Counted
):
    """Until then they may be in an exporter's queue; what never came is missing afterwards."""
    brought = producer.current()
    counted.note(brought.next_number()[0])
    brought.next_number()
    settler.write_status(blocked=None)
    status = read_status(spool.path)
    assert (brought.id, 2) not in counted_by(status, ended=False)
    assert (brought.id, 2) in counted_by(status, ended=True)
    settler.close(blocked=None)
    (gap,) = read_account(spool.root).missing
    assert gap == Gap(brought.id, 1, 2)


def test_the_status_of_a_dead_process_may_be_any(spool: Spool, settler: Settler, tmp_path: Path):
    """What can be read of it counts; the rest does no harm."""
    for name, status in {
        "a": {"producer": "q", "scored": 7},
        "b": {"producer": "r"},
        "c": [],
        "d": {"producer": "s", "scored": "7", "brought": [1, 2]},
        "e": {"brought": ["q"]},
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / STATUS_FILE).write_bytes(orjson.dumps(status))
    settler.inherit(tmp_path / name for name in "abcde")
    settler.close(blocked=None)
    account = read_account(spool.root)
    assert [(gap.producer_id, gap.last) for gap in account.missing] == [("q", 7)]


def test_the_status_tells_counts_and_how_far_the_producer_is(
    spool: Spool, settler: Settler, counted: Counted
):
    """People and reconcile read it."""
    counted.own.next_number()
    spool.put(encode(ScoringSpan(producer_id="p", sequence=1, scoring_id="id-1")))
    _, items = read_items(spool.claim(10**6, 10).entries)
    settler.settle(items, STORED)
    settler.write_status(blocked="a reason")
    status = read_status(spool.path)
    assert status is not None
    assert (status["producer"], status["scored"]) == (counted.own.id, 1)
    assert status["blocked"] == "a reason"
    assert status["outcomes"][STORED] == 1
    assert ledger_item(items[0].span, STORED).scoring_id in read_account(spool.root).ids("stored")


def test_what_is_refused_after_the_end_reaches_nobody_where_it_cannot_be_written(
    spool: Spool, settler: Settler
):
    """The door's caller must not see our disk fail, not even then."""
    settler.close(blocked=None)
    shutil.rmtree(spool.root / "ledger")
    settler.refuse(refused(1))
    (spool.root / "ledger").mkdir()
    settler.refuse(refused(2))
    assert read_account(spool.root).totals["refused"] == 2
