"""The database tables of a store, for queries. Their making stands in `migrations`."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("key_hash", Text, nullable=False),
    Column("created_at", Text, nullable=False),
)

data_marts = Table(
    "data_marts",
    metadata,
    Column("data_mart_id", Text, primary_key=True),
    Column("created_at", Text, nullable=False),
)

service_bindings = Table(
    "service_bindings",
    metadata,
    Column("data_mart_id", Text, primary_key=True),
    Column("binding_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("service_type", Text, nullable=False),
    Column("secrets", LargeBinary, nullable=False),
    Column("created_at", Text, nullable=False),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("data_mart_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("binding_id", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("asset_properties", Text, nullable=False),
    Column("deployments", Text, nullable=False),
    Column("created_at", Text, nullable=False),
)

configurations = Table(
    "configurations",
    metadata,
    Column("data_mart_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("monitor", Text, primary_key=True),
    Column("document", Text, nullable=False),
)

payload_tables = Table(
    "payload_tables",
    metadata,
    Column("table_id", Integer, primary_key=True),
    Column("data_mart_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("dynamic_schema", Boolean, nullable=False),
    Column("columns", Text, nullable=False),
    UniqueConstraint("data_mart_id", "subscription_id", name="payload_tables_key"),
)

payload_records = Table(
    "payload_records",
    metadata,
    Column("store_sequence", Integer, primary_key=True),
    Column("table_id", Integer, ForeignKey("payload_tables.table_id"), nullable=False),
    Column("scoring_id", Text, nullable=False),
    Column("binding_id", Text),
    Column("deployment_id", Text, nullable=False),
    Column("scoring_timestamp", Text, nullable=False),
    Column("timestamp_utc", Text, nullable=False),
    Column("response_time", Integer),
    Column("status", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("producer", Text),
    Column("sequence", Integer),
    Column("received_at", Text, nullable=False),
    Column("extras", Text),
    Column("request", Text, nullable=False),
    Column("response", Text, nullable=False),
    UniqueConstraint("table_id", "scoring_id", name="payload_records_key"),
    # Covers the order of the table's rows, their count, and performance, so that none of these
    # reads a body.
    Index(
        "payload_records_newest",
        "table_id",
        "timestamp_utc",
        "store_sequence",
        "status",
        "row_count",
        "deployment_id",
        "response_time",
    ),
    Index(
        "payload_records_producer",
        "producer",
        "sequence",
        sqlite_where=text("producer IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

payload_conflicts = Table(
    "payload_conflicts",
    metadata,
    Column("conflict_id", Integer, primary_key=True),
    Column("table_id", Integer, ForeignKey("payload_tables.table_id"), nullable=False),
    Column("scoring_id", Text, nullable=False),
    Column("binding_id", Text),
    Column("deployment_id", Text, nullable=False),
    Column("scoring_timestamp", Text, nullable=False),
    Column("timestamp_utc", Text, nullable=False),
    Column("response_time", Integer),
    Column("status", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("received_at", Text, nullable=False),
    Column("extras", Text),
    Column("request", Text, nullable=False),
    Column("response", Text, nullable=False),
    UniqueConstraint("table_id", "scoring_id", "content_hash", name="payload_conflicts_key"),
    sqlite_autoincrement=True,
)
