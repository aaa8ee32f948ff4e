"""The list settler: each record in one way, and again where the disk refuses."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from errno import EIO
from pathlib import Path

import pytest

from scorespan.conversion.span import ScoringSpan, encode
from scorespan.delivery.batch import Item, Ready, read_items
from scorespan.delivery.list_settler import ListSettler
from scorespan.delivery.lists import RecordList
from scorespan.delivery.retry import SWITCHED_OFF, Refusal, Rejected
from scorespan.delivery.settle import Settler
from scorespan.reconcile import read_account
from scorespan.spool.root import Route, prepare_root
from scorespan.spool.spool import Spool
from scorespan.telemetry import RepeatedLog


class FailingSettler(Settler):
    """A settler whose ledger cannot be written so many times."""

    failures = 0

    def settle(self, items: Sequence[Item], outcome: str) -> None:
        """Settle, or fail."""
        if self.failures:
            self.failures -= 1
            raise OSError(EIO, os.strerror(EIO))
        super().settle(items, outcome)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A spool."""
    prepare_root(tmp_path / "root")
    made = Spool(tmp_path / "root", Route("http://mart", "one"), max_bytes=10**9)
    yield made
    made.close()


@pytest.fixture
def settler(spool: Spool) -> Iterator[FailingSettler]:
    """Its settler."""
    made = FailingSettler(spool)
    yield made
    made.abandon()


@pytest.fixture
def pauses() -> list[int]:
    """After how many failures in a row there was a pause."""
    return []


@pytest.fixture
def lists(settler: FailingSettler, pauses: list[int]) -> ListSettler:
    """What is tested."""
    return ListSettler(settler, pauses.append, RepeatedLog())


def claimed(spool: Spool, count: int) -> list[Ready]:
    """So many records that were put and claimed."""
    body = b'{"fields": ["a"], "values": [[1]]}'
    for number in range(1, count + 1):
        spool.put(
            encode(
                ScoringSpan(
                    request=body,
                    response=body,
                    subscription_id="s",
                    scoring_id=f"id-{number}",
                    producer_id="p",
                    sequence=number,
                )
            )
        )
    ready, unreadable = read_items(spool.claim(10**6, count).entries)
    assert not unreadable
    return ready


def test_what_the_disk_refuses_is_written_later(spool, settler, lists, pauses):
    """The mart is not asked again; each try waits for longer than the one before."""
    settler.failures = 3
    lists.stored(RecordList(claimed(spool, 2)))
    assert pauses == [1, 2, 3]
    assert read_account(spool.root).totals["stored"] == 2
    assert spool.waiting == 0


def test_the_records_that_the_mart_named_are_settled_and_the_rest_is_next(spool, lists):
    """What is not wanted is switched off, what is wrong a dead letter."""
    refusals = (Refusal(0, SWITCHED_OFF, ""), Refusal(2, "wrong", "a field"))
    (rest,) = lists.rejected(
        RecordList(claimed(spool, 3), posts=1), Rejected(400, "answer", refusals)
    )
    assert [item.span.scoring_id for item in rest.items] == ["id-2"]
    assert rest.posts == 1
    totals = read_account(spool.root).totals
    assert (totals["switched off"], totals["dead-lettered"], totals["waiting"]) == (1, 1, 1)


def test_a_list_in_which_nobody_is_named_is_halved_down_to_one(spool, lists):
    """Until the record that is meant stands alone."""
    first, second = lists.rejected(RecordList(claimed(spool, 2)), Rejected(413, "answer"))
    assert lists.rejected(first, Rejected(413, "answer")) == []
    totals = read_account(spool.root).totals
    assert (totals["dead-lettered"], totals["waiting"], len(second.items)) == (1, 1, 1)
