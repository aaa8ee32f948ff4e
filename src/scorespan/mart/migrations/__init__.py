"""The schema of a store as numbered steps; each start of the mart takes those that are missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from sqlalchemy import Connection


def migrate(connection: Connection) -> None:
    """Bring the schema to the newest step, within the caller's transaction.

    Raises:
        alembic.util.CommandError: the store was written by a newer version.
    """
    config = Config()
    # A percent sign would be read as an interpolation of the configuration.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
