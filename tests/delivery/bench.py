"""A worker over a spool of its own, before a scripted mart: what the tests of delivery share."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from scorespan.conversion.span import ScoringSpan, encode
from scorespan.delivery.client import MartClient
from scorespan.delivery.lists import Aside
from scorespan.delivery.retry import Pace, Waits
from scorespan.delivery.sender import Sender
from scorespan.delivery.settle import Settler
from scorespan.delivery.worker import DeliveryWorker
from scorespan.reconcile import read_account
from scorespan.settings import Settings
from scorespan.spool.dead import read_letters
from scorespan.spool.root import Route, prepare_root
from scorespan.spool.spool import Spool
from scorespan.telemetry import RepeatedLog
from scorespan.testing import Answer, ScriptedMart

REQUEST = b'{"fields": ["a"], "values": [[1]]}'
RESPONSE = b'{"fields": ["p"], "values": [[0]]}'


def span(number: int, **changed: Any) -> ScoringSpan:
    """A scoring span that converts."""
    known = {
        "request": REQUEST,
        "response": RESPONSE,
        "trace_id": "0" * 32,
        "span_id": f"{number:016x}",
        "subscription_id": "subscription",
        "deployment_id": "deployment",
        "producer_id": "producer",
        "sequence": number,
        "scoring_id": f"s{number}",
    }
    return ScoringSpan(**{**known, **changed})


class Bench:
    """A worker over a spool of its own, with waits of milliseconds."""

    def __init__(
        self,
        root: Path,
        mart: ScriptedMart,
        *,
        aside: Callable[[Pace], Aside] = Aside,
        **changed: Any,
    ) -> None:
        self.closed = False
        self.root = root
        self.mart = mart
        prepare_root(root)
        self.settings = Settings.load({**mart.settings, **changed}, {})
        route = Route(mart.url, mart.DATA_MART_ID)
        self.spool = Spool(root, route, max_bytes=10**9)
        self.settler = Settler(self.spool)
        self.client = MartClient(self.settings)
        log = RepeatedLog()
        self.worker = DeliveryWorker(
            self.spool,
            self.settler,
            lambda stop: Sender(
                self.client,
                self.settler,
                stop,
                log=log,
                waits=Waits(0.001, 0.01, 0.01),
                aside=aside,
                chance=random.Random(1),
            ),
            log=log,
            linger=0.001,
        )

    def put(self, *spans: ScoringSpan) -> None:
        """Put spans as the intake does."""
        for one in spans:
            self.spool.put(encode(one))

    def deliver(self, *spans: ScoringSpan) -> None:
        """Put and deliver."""
        self.put(*spans)
        self.worker.start()
        assert self.worker.flush(100)

    def outcomes(self) -> dict[str, str]:
        """What the account says of each scoring id."""
        return {item.scoring_id: item.outcome for item in read_account(self.root).items.values()}

    def letters(self, folder: str = "dead") -> dict[str | None, tuple[str, str, int | None]]:
        """Dead letters by scoring id."""
        return {
            letter.scoring_id: (letter.code, letter.reason, letter.status)
            for letter in read_letters(self.root / folder)
        }

    def close(self) -> None:
        """Stop everything, once."""
        if self.closed:
            return
        self.closed = True
        started = self.worker._thread.ident is not None
        if started and self.worker.stop(0):
            self.settler.close(blocked=None)
            self.spool.close()
        self.client.close()


def refusal(status: int, *errors: dict[str, object]) -> Answer:
    """An answer that refuses records."""
    return Answer(status, orjson.dumps({"trace": "t", "errors": list(errors)}))
