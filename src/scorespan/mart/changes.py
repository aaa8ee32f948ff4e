"""Changes: the writing half of the store contract, for SQLite's dialect of SQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert

from scorespan.mart.queries import BATCH, SqlReader
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
from scorespan.mart.timestamp import utc_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from scorespan.mart.payload import Record
    from scorespan.mart.store import ApiKey, Binding, Subscription
    from scorespan.mart.table import Columns

# The one statement that is run for every record; the driver takes it with positional values.
INSERT_RECORD = """
INSERT INTO payload_records (
    table_id, scoring_id, binding_id, deployment_id, scoring_timestamp, timestamp_utc,
    response_time, status, content_hash, row_count, producer, sequence, received_at,
    extras, request, response
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (table_id, scoring_id) DO NOTHING
"""


class SqliteWriter(SqlReader):
    """Writes through the one connection that holds the write lock."""

    def add_api_key(self, key: ApiKey, now: datetime) -> None:
        """Let a key in."""
        self._connection.execute(
            insert(api_keys).values(
                key_id=key.key_id, key_hash=key.key_hash, created_at=utc_text(now)
            )
        )

    def put_data_mart(self, data_mart_id: str, now: datetime) -> None:
        """Make a data mart unless it is there."""
        made = insert(data_marts).values(data_mart_id=data_mart_id, created_at=utc_text(now))
        self._connection.execute(made.on_conflict_do_nothing())

    def put_binding(self, data_mart_id: str, binding: Binding) -> None:
        """Make a binding, or renew its name, type and secrets."""
        renewed = {
            "name": binding.name,
            "service_type": binding.service_type,
            "secrets": binding.secrets,
        }
        made = insert(service_bindings).values(
            data_mart_id=data_mart_id,
            binding_id=binding.binding_id,
            created_at=binding.created_at,
            **renewed,
        )
        self._connection.execute(
            made.on_conflict_do_update(index_elements=["data_mart_id", "binding_id"], set_=renewed)
        )

    def delete_binding(self, data_mart_id: str, binding_id: str) -> None:
        """Remove a binding and its subscriptions. Stored records stay."""
        for subscription in self.subscriptions(data_mart_id, binding_id):
            self.delete_subscription(data_mart_id, subscription.subscription_id)
        self._connection.execute(
            delete(service_bindings).where(
                service_bindings.c.data_mart_id == data_mart_id,
                service_bindings.c.binding_id == binding_id,
            )
        )

    def put_subscription(self, data_mart_id: str, subscription: Subscription) -> None:
        """Make a subscription with payload logging off, or renew its documents."""
        key = {
            "data_mart_id": data_mart_id,
            "subscription_id": subscription.subscription_id,
        }
        renewed = {
            "asset": json.dumps(subscription.asset),
            "asset_properties": json.dumps(subscription.asset_properties),
            "deployments": json.dumps(subscription.deployments),
        }
        made = insert(subscriptions).values(
            **key,
            **renewed,
            binding_id=subscription.binding_id,
            created_at=subscription.created_at,
        )
        self._connection.execute(made.on_conflict_do_update(index_elements=list(key), set_=renewed))
        table = insert(payload_tables).values(
            **key, enabled=False, dynamic_schema=True, columns="[]"
        )
        self._connection.execute(table.on_conflict_do_nothing())

    def delete_subscription(self, data_mart_id: str, subscription_id: str) -> None:
        """Remove a subscription and its configurations. Stored records stay."""
        self.put_payload_logging(data_mart_id, subscription_id, enabled=False, dynamic_schema=True)
        for table in (subscriptions, configurations):
            self._connection.execute(
                delete(table).where(
                    table.c.data_mart_id == data_mart_id,
                    table.c.subscription_id == subscription_id,
                )
            )

    def put_configuration(
        self, data_mart_id: str, subscription_id: str, monitor: str, document: Mapping[str, Any]
    ) -> None:
        """Configure a monitor other than payload logging."""
        text = json.dumps(document)
        made = insert(configurations).values(
            data_mart_id=data_mart_id,
            subscription_id=subscription_id,
            monitor=monitor,
            document=text,
        )
        self._connection.execute(
            made.on_conflict_do_update(
                index_elements=["data_mart_id", "subscription_id", "monitor"],
                set_={"document": text},
            )
        )

    def put_payload_logging(
        self, data_mart_id: str, subscription_id: str, *, enabled: bool, dynamic_schema: bool
    ) -> None:
        """Switch payload logging of an existing subscription."""
        table = payload_tables.c
        self._connection.execute(
            update(payload_tables)
            .where(table.data_mart_id == data_mart_id, table.subscription_id == subscription_id)
            .values(enabled=enabled, dynamic_schema=dynamic_schema)
        )

    def put_columns(self, table_id: int, columns: Columns) -> None:
        """Give a table its new columns."""
        self._connection.execute(
            update(payload_tables)
            .where(payload_tables.c.table_id == table_id)
            .values(columns=columns.text())
        )

    def add_records(self, records: list[tuple[int, Record]], received_at: str) -> None:
        """Store records in order; a key that is stored already stays as it is."""
        if not records:
            return
        rows = [
            (
                table_id,
                record.scoring_id,
                record.binding_id,
                record.deployment_id,
                record.scoring_timestamp,
                record.timestamp_utc,
                record.response_time,
                record.status,
                record.content_hash,
                record.row_count,
                record.producer,
                record.sequence,
                received_at,
                record.extras,
                record.request,
                record.response,
            )
            for table_id, record in records
        ]
        result = self._connection.exec_driver_sql(INSERT_RECORD, rows)
        if result.rowcount != len(rows):
            self._keep_conflicts(records, received_at)

    def _keep_conflicts(self, records: list[tuple[int, Record]], received_at: str) -> None:
        """Keep those records whose key is stored under another hash."""
        stored = self._stored_hashes(records)
        kept = insert(payload_conflicts).on_conflict_do_nothing()
        conflicts = [
            {
                **{name: getattr(record, name) for name in _KEPT_OF_CONFLICT},
                "table_id": table_id,
                "received_at": received_at,
            }
            for table_id, record in records
            if stored[table_id, record.scoring_id] != record.content_hash
        ]
        if conflicts:
            self._connection.execute(kept, conflicts)

    def _stored_hashes(self, records: list[tuple[int, Record]]) -> dict[tuple[int, str], str]:
        """Hash by key, of records that are all stored."""
        table = payload_records.c
        by_table: dict[int, list[str]] = {}
        for table_id, record in records:
            by_table.setdefault(table_id, []).append(record.scoring_id)
        found: dict[tuple[int, str], str] = {}
        for table_id, ids in by_table.items():
            for start in range(0, len(ids), BATCH):
                query = select(table.scoring_id, table.content_hash).where(
                    table.table_id == table_id, table.scoring_id.in_(ids[start : start + BATCH])
                )
                for scoring_id, content_hash in self._connection.execute(query):
                    found[table_id, scoring_id] = content_hash
        return found


_KEPT_OF_CONFLICT = (
    "scoring_id",
    "binding_id",
    "deployment_id",
    "scoring_timestamp",
    "timestamp_utc",
    "response_time",
    "status",
    "content_hash",
    "row_count",
    "extras",
    "request",
    "response",
)
