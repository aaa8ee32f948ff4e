"""The store contract: what keeps a data mart, whichever database is behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from scorespan.record import STATUS_ERROR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from scorespan.mart.payload import Record
    from scorespan.mart.performance import Performance, Sample, Scope
    from scorespan.mart.table import Columns


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that opens the mart; only its SHA-256 is kept."""

    key_id: str
    key_hash: str


@dataclass(frozen=True, slots=True)
class Binding:
    """An engine that is bound to a data mart. `secrets` is encrypted JSON."""

    binding_id: str
    name: str
    service_type: str
    secrets: bytes
    created_at: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """A model of a binding that is watched. The three documents are as the client gave them."""

    subscription_id: str
    binding_id: str
    asset: Mapping[str, Any]
    asset_properties: Mapping[str, Any]
    deployments: Sequence[Any]
    created_at: str


@dataclass(frozen=True, slots=True)
class PayloadTable:
    """Where a subscription's records go. It outlives the subscription, as its records do."""

    table_id: int
    binding_id: str
    enabled: bool
    dynamic_schema: bool
    columns: Columns


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A payload record as read; `sequence_in_store` grows with every record stored."""

    sequence_in_store: int
    subscription_id: str
    scoring_id: str
    binding_id: str | None
    deployment_id: str
    scoring_timestamp: str
    timestamp_utc: str
    response_time: int | None
    status: str
    content_hash: str
    row_count: int
    request: str
    response: str
    extras: str | None
    received_at: str
    conflicts: int = 0

    @property
    def failed(self) -> bool:
        """Whether the scoring itself failed."""
        return self.status == STATUS_ERROR


@dataclass(frozen=True, slots=True)
class StoredName:
    """What a payload record is called: its key, its place in time, and its producer's number."""

    sequence_in_store: int
    subscription_id: str
    scoring_id: str
    deployment_id: str
    timestamp_utc: str
    status: str
    producer: str | None
    sequence: int | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """A record that came under the key of another one and was not stored in its place."""

    stored_hash: str
    record: StoredRecord


class Reader(Protocol):
    """Reads one committed state of the store. Used by one thread."""

    def api_keys(self) -> list[ApiKey]:
        """All keys."""

    def data_mart(self, data_mart_id: str) -> str | None:
        """When the data mart was made, or None where it is unknown."""

    def bindings(self, data_mart_id: str) -> list[Binding]:
        """The bindings of a data mart, oldest first."""

    def binding(self, data_mart_id: str, binding_id: str) -> Binding | None:
        """One binding."""

    def subscriptions(self, data_mart_id: str, binding_id: str) -> list[Subscription]:
        """The subscriptions of a binding, oldest first."""

    def subscription(self, data_mart_id: str, subscription_id: str) -> Subscription | None:
        """One subscription, whichever binding it belongs to."""

    def configuration(
        self, data_mart_id: str, subscription_id: str, monitor: str
    ) -> dict[str, Any] | None:
        """What was configured for a monitor other than payload logging."""

    def tables(self, data_mart_id: str, subscription_ids: Iterable[str]) -> dict[str, PayloadTable]:
        """Payload tables by subscription id; subscriptions that do not exist are left out."""

    def has_table(self, data_mart_id: str, subscription_id: str) -> bool:
        """Whether the subscription exists or once did."""

    def records(
        self, data_mart_id: str, subscription_id: str | None, after: int, limit: int
    ) -> list[StoredRecord]:
        """Records stored after the given sequence, in the order they were stored."""

    def names(
        self, data_mart_id: str, subscription_id: str | None, after: int, limit: int
    ) -> list[StoredName]:
        """Names of the records that `records` would answer with; no body is read."""

    def row_count(self, table_id: int, *, include_failed: bool) -> int:
        """How many rows the table has."""

    def rows(
        self, table_id: int, offset: int, limit: int, *, include_failed: bool
    ) -> list[tuple[StoredRecord, int, int]]:
        """Records that hold the rows `offset` to `offset + limit`, newest timestamp first.

        Each with its first row that is wanted and how many. Equal timestamps: stored last, first.
        """

    def performances(self, scope: Scope) -> list[Performance]:
        """How each deployment in scope performed, by its id."""

    def samples(self, scope: Scope) -> tuple[str, list[Sample]]:
        """Samples in scope, oldest first, and what each stands for: `record`, or an interval.

        Few enough to be answered at once: where there are many records, the intervals are longer.
        """

    def conflicts(
        self, data_mart_id: str, subscription_id: str | None, limit: int
    ) -> list[Conflict]:
        """Conflicts, newest first."""


class Writer(Reader, Protocol):
    """Changes the store; what it reads includes its own changes."""

    def add_api_key(self, key: ApiKey, now: datetime) -> None:
        """Let a key in."""

    def put_data_mart(self, data_mart_id: str, now: datetime) -> None:
        """Make a data mart unless it is there."""

    def put_binding(self, data_mart_id: str, binding: Binding) -> None:
        """Make a binding, or renew its name, type and secrets."""

    def delete_binding(self, data_mart_id: str, binding_id: str) -> None:
        """Remove a binding and its subscriptions. Stored records stay."""

    def put_subscription(self, data_mart_id: str, subscription: Subscription) -> None:
        """Make a subscription with payload logging off, or renew its documents."""

    def delete_subscription(self, data_mart_id: str, subscription_id: str) -> None:
        """Remove a subscription and its configurations. Stored records stay."""

    def put_configuration(
        self, data_mart_id: str, subscription_id: str, monitor: str, document: Mapping[str, Any]
    ) -> None:
        """Configure a monitor other than payload logging."""

    def put_payload_logging(
        self, data_mart_id: str, subscription_id: str, *, enabled: bool, dynamic_schema: bool
    ) -> None:
        """Switch payload logging of an existing subscription."""

    def put_columns(self, table_id: int, columns: Columns) -> None:
        """Give a table its new columns."""

    def add_records(self, records: list[tuple[int, Record]], received_at: str) -> None:
        """Store records under (table, scoring id), in order.

        A key that is stored already stays as it is: with the same hash the record is ignored,
        with another one it is kept as a conflict, once for each distinct hash.
        """


class Store(Protocol):
    """Keeps data marts. Threads may share it."""

    def reading(self) -> AbstractContextManager[Reader]:
        """A state to read, beside any writer."""

    def writing(self) -> AbstractContextManager[Writer]:
        """The one transaction that changes the store; others wait.

        Leaving it without an exception means committed and synced; an exception undoes all of it.
        """

    def close(self) -> None:
        """Let go of the database. Idempotent."""
