"""A data mart, a spool root, and what tests of reconcile do to both."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from examples.live import BINDING_ID, SUBSCRIPTION_ID, LiveMart
from scorespan.conversion.span import ScoringSpan, encode
from scorespan.delivery.client import MartClient
from scorespan.delivery.delivery import Delivery
from scorespan.delivery.settle import STATUS_FILE
from scorespan.intake import Intake
from scorespan.reconcile import Report, Window, reconcile
from scorespan.settings import Settings
from scorespan.spool.frames import FRAME_MAGIC, HEAD_SIZE
from scorespan.spool.lines import checked_line
from scorespan.spool.root import Route, prepare_root
from scorespan.spool.segment import segments_of
from scorespan.spool.spool import Spool
from scorespan.telemetry import RepeatedLog

FIRST_MINUTE = 29_000_000
_FILE_HEAD = 8


class World:
    """A mart with records of dead processes, all of whose numbers the test gave."""

    def __init__(self, live: LiveMart) -> None:
        self.live = live
        self.root = live.spool
        self.settings = Settings.load({**live.settings, "data_mart_kind": "scorespan"}, {})
        self.route = Route(self.settings.data_mart_url or "", self.settings.data_mart_id or "")
        prepare_root(self.root)

    def span(self, producer_id: str, number: int, **members: Any) -> ScoringSpan:
        """A numbered span that converts; ten to a minute."""
        known: dict[str, Any] = {
            "request": b'{"fields": ["a"], "values": [[%d]]}' % number,
            "response": b'{"fields": ["p"], "values": [[0]]}',
            "start_time": (FIRST_MINUTE + number // 10) * 60_000_000_000,
            "scoring_id": f"{producer_id}-{number}",
            "binding_id": BINDING_ID,
            "subscription_id": SUBSCRIPTION_ID,
            "deployment_id": "deployment",
            "producer_id": producer_id,
            "sequence": number,
        }
        return ScoringSpan(**{**known, **members})

    def put(self, producer_id: str, numbers: Iterable[int], *, scored: int | None = None) -> Path:
        """The directory of a process that put these and died; how far it had counted at most."""
        numbers = list(numbers)
        spool = Spool(self.root, self.route, max_bytes=10**9)
        for number in numbers:
            spool.put(encode(self.span(producer_id, number)))
        spool.abandon()
        status = {"producer": producer_id, "scored": scored or max(numbers), "time": 0.0}
        (spool.path / STATUS_FILE).write_bytes(checked_line(status))
        return spool.path

    def receive(self, *spans: ScoringSpan, root: Path | None = None) -> None:
        """Take spans as a receiver does, in this root or another one, and deliver them."""
        more = {"data_mart_kind": "scorespan", "spool_dir": str(root or self.root)}
        intake = Intake(Settings.load({**self.live.settings, **more, "sync": "durable"}, {}))
        intake.open()
        try:
            intake.accept_all(spans)
            assert intake.flush(60)
        finally:
            intake.close()

    def cut_out(self, directory: Path, chance: random.Random, count: int) -> set[int]:
        """Splice whole entries out of the segments of a directory; the numbers that they had."""
        gone: set[int] = set()
        (segment,) = segments_of(directory)
        content = segment.read_bytes()
        entries = list(_entries(content))
        for start, end in sorted(chance.sample(entries, count), reverse=True):
            gone.add(_number(content[start:end]))
            content = content[:start] + content[end:]
        segment.write_bytes(content)
        return gone

    def deliver(self, **settings: Any) -> None:
        """Have a process of its own deliver all that waits, and end."""
        given = {**self.live.settings, "data_mart_kind": "scorespan", **settings}
        delivery = Delivery(Settings.load(given, {}), self.root, RepeatedLog())
        assert delivery.flush(60)
        delivery.close(60)

    def delete(self, *scoring_ids: str) -> None:
        """Delete records from the mart's database."""
        for scoring_id in scoring_ids:
            self._change("DELETE FROM payload_records WHERE scoring_id = ?", scoring_id)

    def rename(self, scoring_id: str, other: str) -> None:
        """Give a record of the mart's database another id."""
        change = "UPDATE payload_records SET scoring_id = ? WHERE scoring_id = ?"
        self._change(change, other, scoring_id)

    def _change(self, change: str, *values: str) -> None:
        database = self.live.running.folder / "mart.sqlite3"
        with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
            assert connection.execute(change, values).rowcount == 1

    def report(
        self,
        *,
        window: Window | None = None,
        patience: float = 60,
        on_step: Callable[[str], None] = lambda _: None,
        wait: Callable[[float], None] = lambda _: None,
        **settings: Any,
    ) -> Report:
        """What reconcile says; what is outstanding costs all of the patience."""
        given = {**self.live.settings, "data_mart_kind": "scorespan", **settings}
        client = MartClient(Settings.load(given, {}))
        try:
            return reconcile(
                self.root,
                client,
                self.route,
                window=window,
                patience=patience,
                on_step=on_step,
                wait=wait,
            )
        finally:
            client.close()


def missing_numbers(report: Report) -> dict[str, set[int]]:
    """Every number that a report calls missing, by producer."""
    found: dict[str, set[int]] = {}
    for lost in report.lost:
        found.setdefault(lost.producer_id, set()).add(lost.number)
    for gap in (*report.gaps, *report.trailing, *report.unnamed):
        found.setdefault(gap.producer_id, set()).update(range(gap.first, gap.last + 1))
    return found


def _entries(content: bytes) -> Iterable[tuple[int, int]]:
    """Where the entries of a segment begin and end; its first frame is its header."""
    start = _FILE_HEAD
    while content[start : start + len(FRAME_MAGIC)] == FRAME_MAGIC:
        length = int.from_bytes(content[start + 4 : start + 8], "little")
        end = start + HEAD_SIZE + length
        if start > _FILE_HEAD:
            yield start, end
        start = end


def _number(entry: bytes) -> int:
    return int(entry.partition(b'"values": [[')[2].partition(b"]")[0])
