"""The data mart's side: what it holds, page by page; no more than a page is in memory."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from scorespan.delivery.client import MartClient
from scorespan.errors import DeliveryError

_PAGE = 10_000
_ROWS = 1000
_CONFLICTS = 1000
_PAUSE_SECONDS = 1.0


class MartRecord(NamedTuple):
    """One record of the data mart; `minute` is its scoring timestamp's, from the epoch, in UTC."""

    subscription_id: str
    deployment_id: str
    scoring_id: str
    minute: int
    producer_id: str | None = None
    number: int | None = None


class Conflict(NamedTuple):
    """A record came under the id of another one; the first one is kept in its place."""

    subscription_id: str
    scoring_id: str


class Payload:
    """Reads what a data mart holds.

    A request that fails is made a second time, with a new token.

    Args:
        client: where to ask; used by one thread at a time.
        on_read: told how many records a page brought.
        wait: waits so many seconds.
    """

    def __init__(
        self,
        client: MartClient,
        *,
        on_read: Callable[[int], None] = lambda _: None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._on_read = on_read
        self._wait = wait
        self._tail: str | None = None

    def records(self, subscription_id: str | None = None) -> Iterator[MartRecord]:
        """Every record of our own data mart, in the order they were stored.

        Those that are stored meanwhile come, too: this ends when there is no other one.

        Raises:
            DeliveryError: the mart did not answer as ours does.
        """
        return self._records(subscription_id, None)

    def newest(self) -> Iterator[MartRecord]:
        """The last page of the walk before this one, and all that has been stored since.

        Raises:
            DeliveryError: the mart did not answer as ours does.
        """
        return self._records(None, self._tail)

    def _records(self, subscription_id: str | None, after: str | None) -> Iterator[MartRecord]:
        while True:
            if subscription_id is None:
                self._tail = after
            page = self._get(
                "/scoring_payloads",
                subscription_id=subscription_id,
                fields="ids",
                limit=_PAGE,
                after=after,
            )
            found, after = _members(page, "records"), _members(page, "after")
            for one in found:
                yield MartRecord(
                    one["subscription_id"],
                    one["deployment_id"],
                    one["scoring_id"],
                    minute_of(one["scoring_timestamp"]),
                    one.get("producer"),
                    one.get("sequence"),
                )
            self._on_read(len(found))
            if after is None:
                return

    def conflicts(self) -> list[Conflict]:
        """The newest conflicts of our own data mart, at most 1,000.

        Raises:
            DeliveryError: the mart did not answer as ours does.
        """
        page = self._get("/scoring_conflicts", fields="ids", limit=_CONFLICTS)
        return [
            Conflict(one["subscription_id"], one["scoring_id"])
            for one in _members(page, "conflicts")
        ]

    def row_count(self, subscription_id: str) -> int:
        """Rows of a subscription's payload table.

        Raises:
            DeliveryError: the mart did not answer as one does.
        """
        page = self._get(
            "/scoring_transactions",
            subscription_id=subscription_id,
            limit=1,
            include_total_count="true",
        )
        return int(_members(page, "total_count"))

    def rows(self, subscription_id: str) -> Iterator[tuple[MartRecord, int]]:
        """Every row of a payload table, newest first, and how often it came so far.

        Each is named by the id of its record and the row's number: `{scoring id}-{N}`. A row that
        is stored twice has one timestamp, so only rows of one timestamp are remembered.

        Raises:
            DeliveryError: the mart did not answer as one does.
        """
        offset, timestamp = 0, None
        seen: Counter[str] = Counter()
        while True:
            page = self._get(
                "/scoring_transactions", subscription_id=subscription_id, limit=_ROWS, offset=offset
            )
            values = _members(page, "values")
            places = _places(page["fields"])
            for row in values:
                row_id, its_timestamp, deployment = (
                    "" if place is None else str(row[place]) for place in places
                )
                if its_timestamp != timestamp:
                    timestamp = its_timestamp
                    seen.clear()
                seen[row_id] += 1
                record = MartRecord(subscription_id, deployment, row_id, minute_of(its_timestamp))
                yield record, seen[row_id]
            self._on_read(len(values))
            offset += len(values)
            if not values:
                return

    def _get(self, path: str, **parameters: str | int | None) -> Any:
        try:
            return self._client.get(path, **parameters)
        except DeliveryError:
            self._client.forget_token()
            self._wait(_PAUSE_SECONDS)
            return self._client.get(path, **parameters)


def stored_ids(client: MartClient, subscription_id: str) -> Iterator[str]:
    """Scoring ids that our own data mart holds for a subscription.

    Raises:
        DeliveryError: the mart did not answer as ours does.
    """
    return (record.scoring_id for record in Payload(client).records(subscription_id))


@functools.lru_cache(maxsize=256)
def _start_of(minute: str) -> int:
    return int(datetime.fromisoformat(f"{minute}:00+00:00").timestamp() // 60)


def minute_of(timestamp: str) -> int:
    """Minutes from the epoch of a timestamp in UTC; 0 where it is none."""
    try:
        return _start_of(timestamp[:16].replace(" ", "T"))
    except (ValueError, OverflowError):
        return 0


def _members(page: Any, name: str) -> Any:
    try:
        return page[name]
    except (KeyError, TypeError):
        raise DeliveryError(f"the answer has no {name}: this is no data mart's") from None


def _places(fields: list[str]) -> list[int | None]:
    wanted = ("scoring_id", "scoring_timestamp", "deployment_id")
    return [fields.index(name) if name in fields else None for name in wanted]
