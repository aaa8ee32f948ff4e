"""Reconcile against the hosted mart's kind: by scoring id, over rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from compacting import compact_all
from examples.live import SUBSCRIPTION_ID, live_mart
from reconcile_world import World
from scorespan.delivery.client import MartClient
from scorespan.reconcile import Report, reconcile
from scorespan.reconcile.report import Doubled
from scorespan.settings import Settings
from scorespan.spool.ledger import STORED, Ledger, LedgerItem
from scorespan.spool.root import Route, prepare_root
from scorespan.testing import Answer, ScriptedMart


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A running mart and a prepared root."""
    with live_mart(tmp_path) as live:
        yield World(live)


def test_every_id_is_looked_for_in_the_rows(world: World):
    """Nothing missing where all rows are there, whatever number a record's rows have."""
    world.put("p", range(1, 31))
    world.deliver(data_mart_kind="openscale")
    report = world.report(data_mart_kind="openscale")
    assert report.verdict == "nothing is missing: 30 scored = 30 stored"
    assert report.doubled == []


def test_a_record_without_rows_is_named_by_id(world: World):
    """After it was looked for several times."""
    world.put("p", range(1, 31))
    world.deliver(data_mart_kind="openscale")
    world.delete("p-3", "p-30")
    report = world.report(data_mart_kind="openscale")
    assert {lost.scoring_id for lost in report.lost} == {"p-3", "p-30"}
    assert report.verdict == "2 records are missing: 30 scored = 28 stored + 2 missing"


def test_records_whose_ids_have_gone_are_compared_by_count(world: World):
    """For each place and minute."""
    world.put("p", range(1, 31))
    world.deliver(data_mart_kind="openscale")
    compact_all(world.root)
    assert world.report(data_mart_kind="openscale").missing == 0
    world.delete("p-3", "p-30")
    report = world.report(data_mart_kind="openscale")
    assert sum(short.lacking for short in report.short) == 2
    assert {short.spot.subscription_id for short in report.short} == {SUBSCRIPTION_ID}
    assert report.verdict == "2 records are missing: 30 scored = 28 stored + 2 missing"


class Hosted:
    """A mart whose payload table is scripted, page by page, and a root that sent two records."""

    def __init__(self, root: Path, mart: ScriptedMart) -> None:
        self.root = root
        self.mart = mart
        prepare_root(root)
        self.route = Route(mart.url, mart.DATA_MART_ID)
        ledger = Ledger(root / "ledger", "w-1", route=self.route, producer_id="p")
        ledger.append(
            LedgerItem(STORED, "s", "d", "p", number, f"a-{number}", 0) for number in (1, 2)
        )
        ledger.close()

    def script(self, *rows: str, before: int | None = None, after: int | None = None) -> None:
        """One walk: the count, the rows, no more rows, the count again."""
        count = len(rows)
        values = [[row, "1970-01-01T00:00:00.000Z", "d"] for row in rows]
        self._answer({"total_count": count if before is None else before})
        self._answer(
            {"fields": ["scoring_id", "scoring_timestamp", "deployment_id"], "values": values}
        )
        self._answer({"fields": [], "values": []})
        self._answer({"total_count": count if after is None else after})

    def _answer(self, page: dict[str, Any]) -> None:
        self.mart.data_mart_answers.append(Answer(200, orjson.dumps(page)))

    def report(self) -> Report:
        """What reconcile says; nothing is waited for."""
        given = {**self.mart.settings, "data_mart_kind": "openscale"}
        client = MartClient(Settings.load(given, {}))
        try:
            return reconcile(self.root, client, self.route, wait=lambda _: None)
        finally:
            client.close()


@pytest.fixture
def hosted(tmp_path: Path, scripted_mart: ScriptedMart) -> Hosted:
    """A hosted mart as its own clients know it."""
    return Hosted(tmp_path / "root", scripted_mart)


def test_a_record_that_was_stored_twice_is_listed(hosted: Hosted):
    """At-least-once is what is promised there; the auditor sees which."""
    hosted.script("a-1-1", "a-1-2", "a-2-1", "a-1-1", "a-1-2")
    report = hosted.report()
    assert report.doubled == [Doubled("s", "a-1", 2)]
    assert report.missing == 0


def test_a_row_that_moved_to_the_next_page_is_not_stored_twice(hosted: Hosted):
    """Where the table grows while it is read, it is read again."""
    hosted.script("a-1-1", "a-2-1", "a-2-1", before=2, after=3)
    hosted.script("b-1-1", "a-1-1", "a-2-1")
    assert hosted.report().doubled == []


def test_a_record_that_is_shown_late_is_not_missing(hosted: Hosted):
    """Storing is asynchronous there: what is not shown at once is asked for again."""
    hosted.script("a-1-1")
    hosted.script("a-1-1", "a-2-1")
    assert hosted.report().missing == 0


def test_ids_without_a_row_number_are_known_all_the_same(hosted: Hosted):
    """A mart that adds no suffix is read, too."""
    hosted.script("a-1", "a-2")
    assert hosted.report().missing == 0
