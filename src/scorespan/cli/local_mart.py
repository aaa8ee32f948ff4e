"""The data mart of this machine: what commands take where the settings name none."""

from __future__ import annotations

import os
from collections.abc import Mapping

from scorespan.errors import SettingsError
from scorespan.mart.place import ADMIN_KEY_FILE, DEFAULT_DATA_MART, PORT, default_folder
from scorespan.settings import Settings


def mart_settings() -> Settings:
    """The settings of a command that asks a data mart: the environment's, or of this machine's.

    Raises:
        SettingsError: a setting is wrong, or there is neither.
    """
    return Settings.load({}, {**os.environ, **mart_variables(os.environ)})


def mart_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that lead to the data mart of `scorespan mart`, as it runs by default.

    None where the environment names a data mart, or credentials.

    Raises:
        SettingsError: a setting is wrong; or it names none, and this user has none here.
    """
    settings = Settings.load({}, environ)
    told = settings.data_mart_url, settings.api_key, settings.username, settings.token
    if any(value is not None for value in told):
        return {}
    file = default_folder() / ADMIN_KEY_FILE
    try:
        key = file.read_text(encoding="ascii").strip()
    except OSError:
        raise SettingsError(
            "SCORESPAN_DATA_MART_URL",
            f"is not set, and there is no data mart of this machine ({file}); start one with "
            "`scorespan mart`, or set SCORESPAN_DATA_MART_URL, SCORESPAN_DATA_MART_ID and "
            "SCORESPAN_API_KEY",
        ) from None
    return {
        "SCORESPAN_DATA_MART_URL": f"http://127.0.0.1:{PORT}",
        "SCORESPAN_DATA_MART_ID": settings.data_mart_id or DEFAULT_DATA_MART,
        "SCORESPAN_API_KEY": key,
    }
