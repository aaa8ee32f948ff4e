"""Step 2: the index of the newest records covers performance as well."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the index anew, with two more columns at its end."""
    op.drop_index("payload_records_newest", "payload_records")
    op.create_index(
        "payload_records_newest",
        "payload_records",
        [
            "table_id",
            "timestamp_utc",
            "store_sequence",
            "status",
            "row_count",
            "deployment_id",
            "response_time",
        ],
    )
