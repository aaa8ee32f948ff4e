"""Queries: the reading half of the store contract, for any SQL database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, and_, func, literal_column, select

from scorespan.mart.performance import Performance, Sample, Scope, performances, samples
from scorespan.mart.store import (
    ApiKey,
    Binding,
    Conflict,
    PayloadTable,
    StoredName,
    StoredRecord,
    Subscription,
)
from scorespan.mart.table import columns_of
from scorespan.mart.tables import (
    api_keys,
    configurations,
    data_marts,
    payload_conflicts,
    payload_records,
    payload_tables,
    service_bindings,
    subscriptions,
)
from scorespan.record import STATUS_OK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Connection, Table

BATCH = 500
"""Values in one IN list, well below what any database allows."""


class SqlReader:
    """Reads through one connection, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _rows(self, query: Select[Any]) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._connection.execute(query)]

    def api_keys(self) -> list[ApiKey]:
        """All keys."""
        return [ApiKey(*row) for row in self._rows(select(api_keys.c.key_id, api_keys.c.key_hash))]

    def data_mart(self, data_mart_id: str) -> str | None:
        """When the data mart was made, or None where it is unknown."""
        query = select(data_marts.c.created_at).where(data_marts.c.data_mart_id == data_mart_id)
        return self._connection.scalar(query)

    def bindings(self, data_mart_id: str) -> list[Binding]:
        """The bindings of a data mart, oldest first."""
        return self._bindings(service_bindings.c.data_mart_id == data_mart_id)

    def binding(self, data_mart_id: str, binding_id: str) -> Binding | None:
        """One binding."""
        table = service_bindings.c
        chosen = and_(table.data_mart_id == data_mart_id, table.binding_id == binding_id)
        return next(iter(self._bindings(chosen)), None)

    def _bindings(self, chosen: ColumnElement[bool]) -> list[Binding]:
        table = service_bindings.c
        columns = (
            table.binding_id,
            table.name,
            table.service_type,
            table.secrets,
            table.created_at,
        )
        query = select(*columns).where(chosen).order_by(table.created_at, table.binding_id)
        return [Binding(*row) for row in self._rows(query)]

    def subscriptions(self, data_mart_id: str, binding_id: str) -> list[Subscription]:
        """The subscriptions of a binding, oldest first."""
        table = subscriptions.c
        return self._subscriptions(
            and_(table.data_mart_id == data_mart_id, table.binding_id == binding_id)
        )

    def subscription(self, data_mart_id: str, subscription_id: str) -> Subscription | None:
        """One subscription, whichever binding it belongs to."""
        table = subscriptions.c
        chosen = and_(table.data_mart_id == data_mart_id, table.subscription_id == subscription_id)
        return next(iter(self._subscriptions(chosen)), None)

    def _subscriptions(self, chosen: ColumnElement[bool]) -> list[Subscription]:
        table = subscriptions.c
        columns = (
            table.subscription_id,
            table.binding_id,
            table.asset,
            table.asset_properties,
            table.deployments,
            table.created_at,
        )
        query = select(*columns).where(chosen)
        query = query.order_by(table.created_at, table.subscription_id)
        return [
            Subscription(
                subscription_id,
                binding_id,
                json.loads(asset),
                json.loads(properties),
                json.loads(deployments),
                created_at,
            )
            for subscription_id, binding_id, asset, properties, deployments, created_at in (
                self._rows(query)
            )
        ]

    def configuration(
        self, data_mart_id: str, subscription_id: str, monitor: str
    ) -> dict[str, Any] | None:
        """What was configured for a monitor other than payload logging."""
        table = configurations.c
        query = select(table.document).where(
            table.data_mart_id == data_mart_id,
            table.subscription_id == subscription_id,
            table.monitor == monitor,
        )
        document = self._connection.scalar(query)
        return None if document is None else json.loads(document)

    def tables(self, data_mart_id: str, subscription_ids: Iterable[str]) -> dict[str, PayloadTable]:
        """Payload tables by subscription id; subscriptions that do not exist are left out."""
        table = payload_tables.c
        wanted = list(dict.fromkeys(subscription_ids))
        found: dict[str, PayloadTable] = {}
        for start in range(0, len(wanted), BATCH):
            query = (
                select(
                    table.subscription_id,
                    table.table_id,
                    subscriptions.c.binding_id,
                    table.enabled,
                    table.dynamic_schema,
                    table.columns,
                )
                .join(
                    subscriptions,
                    and_(
                        subscriptions.c.data_mart_id == table.data_mart_id,
                        subscriptions.c.subscription_id == table.subscription_id,
                    ),
                )
                .where(
                    table.data_mart_id == data_mart_id,
                    table.subscription_id.in_(wanted[start : start + BATCH]),
                )
            )
            for subscription_id, table_id, binding_id, enabled, dynamic, columns in self._rows(
                query
            ):
                found[subscription_id] = PayloadTable(
                    table_id, binding_id, enabled, dynamic, columns_of(columns)
                )
        return found

    def has_table(self, data_mart_id: str, subscription_id: str) -> bool:
        """Whether the subscription exists or once did."""
        return self._table_id(data_mart_id, subscription_id) is not None

    def _table_id(self, data_mart_id: str, subscription_id: str) -> int | None:
        table = payload_tables.c
        query = select(table.table_id).where(
            table.data_mart_id == data_mart_id, table.subscription_id == subscription_id
        )
        return self._connection.scalar(query)

    def records(
        self, data_mart_id: str, subscription_id: str | None, after: int, limit: int
    ) -> list[StoredRecord]:
        """Records stored after the given sequence, in the order they were stored."""
        query = _records(payload_records, _conflict_count())
        query = _stored_after(query, data_mart_id, subscription_id, after).limit(limit)
        return [StoredRecord(*row) for row in self._rows(query)]

    def names(
        self, data_mart_id: str, subscription_id: str | None, after: int, limit: int
    ) -> list[StoredName]:
        """Names of the records that `records` would answer with; no body is read."""
        column = payload_records.c
        query: Select[Any] = select(
            column.store_sequence,
            payload_tables.c.subscription_id,
            column.scoring_id,
            column.deployment_id,
            column.timestamp_utc,
            column.status,
            column.producer,
            column.sequence,
        ).join_from(payload_records, payload_tables, payload_tables.c.table_id == column.table_id)
        query = _stored_after(query, data_mart_id, subscription_id, after).limit(limit)
        return [StoredName(*row) for row in self._rows(query)]

    def row_count(self, table_id: int, *, include_failed: bool) -> int:
        """How many rows the table has."""
        chosen = _of_table(table_id, include_failed=include_failed)
        query = select(func.coalesce(func.sum(payload_records.c.row_count), 0)).where(chosen)
        return int(self._connection.scalar(query) or 0)

    def rows(
        self, table_id: int, offset: int, limit: int, *, include_failed: bool
    ) -> list[tuple[StoredRecord, int, int]]:
        """Records that hold the rows `offset` to `offset + limit`, newest timestamp first."""
        slices = self._slices(table_id, offset, limit, include_failed=include_failed)
        wanted = list(slices)
        found: dict[int, StoredRecord] = {}
        for start in range(0, len(wanted), BATCH):
            chosen = payload_records.c.store_sequence.in_(wanted[start : start + BATCH])
            query = _records(payload_records, _NO_CONFLICTS).where(chosen)
            found.update((row[0], StoredRecord(*row)) for row in self._rows(query))
        return [(found[sequence], *part) for sequence, part in slices.items()]

    def _slices(
        self, table_id: int, offset: int, limit: int, *, include_failed: bool
    ) -> dict[int, tuple[int, int]]:
        """First row and number of rows by store sequence; reads the index only."""
        table = payload_records.c
        query = (
            select(table.store_sequence, table.row_count)
            .where(_of_table(table_id, include_failed=include_failed))
            .order_by(table.timestamp_utc.desc(), table.store_sequence.desc())
        )
        slices: dict[int, tuple[int, int]] = {}
        skip, left = offset, limit
        with self._connection.execution_options(yield_per=1000).execute(query) as result:
            for sequence, count in result:
                if left == 0:
                    break
                if skip >= count:
                    skip -= count
                    continue
                taken = min(count - skip, left)
                slices[sequence] = (skip, taken)
                skip, left = 0, left - taken
        return slices

    def performances(self, scope: Scope) -> list[Performance]:
        """How each deployment in scope performed, by its id."""
        return performances(self._connection, scope)

    def samples(self, scope: Scope) -> tuple[str, list[Sample]]:
        """What each sample stands for, and those in scope, oldest first."""
        return samples(self._connection, scope)

    def conflicts(
        self, data_mart_id: str, subscription_id: str | None, limit: int
    ) -> list[Conflict]:
        """Conflicts, newest first."""
        stored = payload_records.c
        same_key = and_(
            stored.table_id == payload_conflicts.c.table_id,
            stored.scoring_id == payload_conflicts.c.scoring_id,
        )
        query = (
            _records(payload_conflicts, _NO_CONFLICTS)
            .add_columns(stored.content_hash)
            .join(payload_records, same_key)
            .where(payload_tables.c.data_mart_id == data_mart_id)
        )
        if subscription_id is not None:
            query = query.where(payload_tables.c.subscription_id == subscription_id)
        query = query.order_by(payload_conflicts.c.conflict_id.desc()).limit(limit)
        return [Conflict(row[-1], StoredRecord(*row[:-1])) for row in self._rows(query)]


_NO_CONFLICTS: ColumnElement[int] = literal_column("0")


def _conflict_count() -> ColumnElement[int]:
    return (
        select(func.count())
        .select_from(payload_conflicts)
        .where(
            payload_conflicts.c.table_id == payload_records.c.table_id,
            payload_conflicts.c.scoring_id == payload_records.c.scoring_id,
        )
        .scalar_subquery()
    )


def _records(table: Table, conflicts: ColumnElement[Any]) -> Select[Any]:
    """Rows in the order of `StoredRecord`."""
    column = table.c
    return select(
        next(iter(table.primary_key)),
        payload_tables.c.subscription_id,
        column.scoring_id,
        column.binding_id,
        column.deployment_id,
        column.scoring_timestamp,
        column.timestamp_utc,
        column.response_time,
        column.status,
        column.content_hash,
        column.row_count,
        column.request,
        column.response,
        column.extras,
        column.received_at,
        conflicts,
    ).join_from(table, payload_tables, payload_tables.c.table_id == column.table_id)


def _stored_after(
    query: Select[Any], data_mart_id: str, subscription_id: str | None, after: int
) -> Select[Any]:
    """Those stored after the given sequence, in the order they were stored."""
    query = query.where(
        payload_tables.c.data_mart_id == data_mart_id, payload_records.c.store_sequence > after
    )
    if subscription_id is not None:
        query = query.where(payload_tables.c.subscription_id == subscription_id)
    return query.order_by(payload_records.c.store_sequence)


def _of_table(table_id: int, *, include_failed: bool) -> ColumnElement[bool]:
    chosen = payload_records.c.table_id == table_id
    return chosen if include_failed else and_(chosen, payload_records.c.status == STATUS_OK)
