"""The schema of a store as numbered steps; each start of the mart takes those that are missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from scorespan.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection


def migrate(connection: Connection) -> None:
    """Bring the schema to the newest step, within the caller's transaction.

    Raises:
        SettingsError: the store was written by a newer version; nothing was changed.
    """
    config = Config()
    # A percent sign would be read as an interpolation of the configuration.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        message = f"the data folder was written by a newer version of scorespan ({error})"
        raise SettingsError("--data", message) from None
