"""Step 1: keys, data marts with their bindings and subscriptions, payload records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("key_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
    )
    op.create_table(
        "data_marts",
        sa.Column("data_mart_id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.Text, nullable=False),
    )
    op.create_table(
        "service_bindings",
        sa.Column("data_mart_id", sa.Text, primary_key=True),
        sa.Column("binding_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("service_type", sa.Text, nullable=False),
        sa.Column("secrets", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
    )
    op.create_table(
        "subscriptions",
        sa.Column("data_mart_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("binding_id", sa.Text, nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("asset_properties", sa.Text, nullable=False),
        sa.Column("deployments", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
    )
    op.create_table(
        "configurations",
        sa.Column("data_mart_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("monitor", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "payload_tables",
        sa.Column("table_id", sa.Integer, primary_key=True),
        sa.Column("data_mart_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("dynamic_schema", sa.Boolean, nullable=False),
        sa.Column("columns", sa.Text, nullable=False),
        sa.UniqueConstraint("data_mart_id", "subscription_id", name="payload_tables_key"),
    )
    op.create_table(
        "payload_records",
        sa.Column("store_sequence", sa.Integer, primary_key=True),
        sa.Column("table_id", sa.Integer, sa.ForeignKey("payload_tables.table_id"), nullable=False),
        sa.Column("scoring_id", sa.Text, nullable=False),
        sa.Column("binding_id", sa.Text),
        sa.Column("deployment_id", sa.Text, nullable=False),
        sa.Column("scoring_timestamp", sa.Text, nullable=False),
        sa.Column("timestamp_utc", sa.Text, nullable=False),
        sa.Column("response_time", sa.Integer),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("row_count", sa.Integer, nullable=False),
        sa.Column("producer", sa.Text),
        sa.Column("sequence", sa.Integer),
        sa.Column("received_at", sa.Text, nullable=False),
        sa.Column("extras", sa.Text),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("response", sa.Text, nullable=False),
        sa.UniqueConstraint("table_id", "scoring_id", name="payload_records_key"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "payload_records_newest",
        "payload_records",
        ["table_id", "timestamp_utc", "store_sequence", "status", "row_count"],
    )
    op.create_index(
        "payload_records_producer",
        "payload_records",
        ["producer", "sequence"],
        sqlite_where=sa.text("producer IS NOT NULL"),
    )
    op.create_table(
        "payload_conflicts",
        sa.Column("conflict_id", sa.Integer, primary_key=True),
        sa.Column("table_id", sa.Integer, sa.ForeignKey("payload_tables.table_id"), nullable=False),
        sa.Column("scoring_id", sa.Text, nullable=False),
        sa.Column("binding_id", sa.Text),
        sa.Column("deployment_id", sa.Text, nullable=False),
        sa.Column("scoring_timestamp", sa.Text, nullable=False),
        sa.Column("timestamp_utc", sa.Text, nullable=False),
        sa.Column("response_time", sa.Integer),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("row_count", sa.Integer, nullable=False),
        sa.Column("received_at", sa.Text, nullable=False),
        sa.Column("extras", sa.Text),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("response", sa.Text, nullable=False),
        sa.UniqueConstraint("table_id", "scoring_id", "content_hash", name="payload_conflicts_key"),
        sqlite_autoincrement=True,
    )
