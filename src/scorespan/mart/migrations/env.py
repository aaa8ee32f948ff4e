"""How a migration runs: on the connection that was handed in, in its transaction."""

from __future__ import annotations

from alembic import context

from scorespan.mart.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
