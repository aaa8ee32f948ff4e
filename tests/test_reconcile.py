"""The account: every record is in exactly one term, and a missing one is named."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from scorespan.conversion.span import ScoringSpan, encode
from scorespan.delivery.settle import STATUS_FILE
from scorespan.reconcile import Gap, read_account, read_directories
from scorespan.spool.ledger import DEAD_LETTERED, REFUSED, STORED, Ledger, LedgerItem
from scorespan.spool.root import Route, prepare_root
from scorespan.spool.segment import segments_of
from scorespan.spool.spool import Spool

ROUTE = Route("http://mart", "one")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A prepared root."""
    prepare_root(tmp_path / "root")
    return tmp_path / "root"


def span(number: int, subscription: str = "s") -> ScoringSpan:
    """A numbered span."""
    return ScoringSpan(
        request=b"{}",
        start_time=60_000_000_000 * number,
        scoring_id=f"id-{number}",
        subscription_id=subscription,
        deployment_id="d",
        producer_id="p",
        sequence=number,
    )


def item(number: int, outcome: str) -> LedgerItem:
    """What the ledger says of the same."""
    return LedgerItem(outcome, "s", "d", "p", number, f"id-{number}", number)


def write_ledger(root: Path, *items: LedgerItem, scored: int = 0) -> None:
    """A ledger file with these items."""
    ledger = Ledger(root / "ledger", str(len(list((root / "ledger").iterdir()))))
    ledger.append(items)
    ledger.append_scored("p", scored)
    ledger.close()


def fill_spool(root: Path, *spans: ScoringSpan) -> Spool:
    """A spool of this process with these spans."""
    spool = Spool(root, ROUTE, max_bytes=10**9)
    for one in spans:
        spool.put(encode(one))
    return spool


def test_terms_add_up_to_what_was_scored(root: Path):
    """Waiting, stored, dead-lettered and refused records are each in one term."""
    spool = fill_spool(root, span(1), span(2))
    write_ledger(root, item(3, STORED), item(4, DEAD_LETTERED), item(5, REFUSED), scored=5)
    account = read_account(root)
    assert account.scored == 5
    assert account.missing == []
    assert account.totals == {
        "stored": 1, "waiting": 2, "dead-lettered": 1, "withheld": 0, "refused": 1,
        "switched off": 0,
    }  # fmt: skip
    assert account.ids("waiting") == {"id-1", "id-2"}
    spool.close()


def test_a_number_that_is_nowhere_is_missing_and_named(root: Path):
    """Gaps below the highest known number are real; a trailing loss shows by the count."""
    write_ledger(root, item(1, STORED), item(4, STORED), scored=6)
    account = read_account(root)
    assert account.missing == [Gap("p", 2, 3), Gap("p", 5, 6)]
    assert account.scored == 6


def test_an_entry_cut_out_of_a_segment_is_named(root: Path):
    """Damage in the spool becomes a name in the account."""
    spool = fill_spool(root, span(1), span(2), span(3))
    spool.abandon()
    (segment,) = segments_of(spool.path)
    segment.write_bytes(segment.read_bytes().replace(b"id-2", b"----"))
    assert read_account(root).missing == [Gap("p", 2, 2)]


def test_the_ledger_is_right_about_a_record_that_still_stands_in_the_spool(root: Path):
    """A crash between ledger and acks does not count a record twice."""
    spool = fill_spool(root, span(1))
    write_ledger(root, item(1, STORED), item(1, STORED))
    account = read_account(root)
    assert account.totals["stored"] == 1
    assert account.totals["waiting"] == 0
    spool.close()


def test_settled_entries_do_not_wait(root: Path):
    """What is acked in the spool is left to the ledger."""
    spool = fill_spool(root, span(1), span(2))
    spool.settle(spool.claim(10**6, 1).entries)
    write_ledger(root, item(1, STORED))
    assert read_account(root).ids("waiting") == {"id-2"}
    spool.close()


def test_the_last_status_of_a_dead_process_counts(root: Path):
    """What a killed process had counted is known though nothing else tells."""
    spool = fill_spool(root, span(1))
    status = {"producer": "p", "scored": 3}
    (spool.path / STATUS_FILE).write_bytes(orjson.dumps(status))
    spool.abandon()
    assert read_account(root).missing == [Gap("p", 2, 3)]


def test_places_are_told_apart(root: Path):
    """Subscriptions have lines of their own, and minutes where asked for."""
    spool = fill_spool(root, span(1, "a"), span(2, "a"), span(3, "b"))
    account = read_account(root)
    assert [
        (place.subscription_id, terms["waiting"]) for place, terms in account.by_place().items()
    ] == [
        ("a", 2),
        ("b", 1),
    ]
    assert len(account.by_place(minutes=True)) == 3
    spool.close()


def test_a_number_out_of_all_proportion_costs_no_time(root: Path):
    """A span may say any number of itself; the account names the stretch below it."""
    write_ledger(root, item(2**62, STORED))
    assert read_account(root).missing == [Gap("p", 1, 2**62 - 1)]


def test_entries_that_are_no_spans_are_counted_one_by_one(root: Path):
    """What has no name is known by its place, and leaves no gap."""
    spool = fill_spool(root, span(1))
    spool.put([b"rubbish"])
    spool.put([b"more rubbish"])
    account = read_account(root)
    assert account.totals["waiting"] == 3
    assert account.missing == []
    spool.close()


def test_a_cut_ledger_line_costs_that_line_only(root: Path):
    """A crash in the middle of a line hides no other one."""
    write_ledger(root, item(1, STORED))
    with (root / "ledger" / "0.ledger").open("ab") as file:
        file.write(b'{"o": "stored", "s": "s", "d')
    write_ledger(root, item(2, STORED))
    assert read_account(root).totals["stored"] == 2


def test_directories_are_shown_dead_or_alive(root: Path):
    """Who is alive, what waits, and since when."""
    alive = fill_spool(root, span(5), span(7))
    dead = fill_spool(root, span(9))
    dead.abandon()
    first, second = read_directories(root)
    assert (first.alive, first.waiting, first.oldest, first.route) == (True, 2, 5, ROUTE)
    assert (second.alive, second.waiting) == (False, 1)
    assert first.name.startswith(f"w-{os.getpid()}")
    alive.close()
