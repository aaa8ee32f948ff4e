"""The spool root that a command is about."""

from __future__ import annotations

from pathlib import Path

import click

root_option = click.option(
    "--dir",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Spool root. Default: SCORESPAN_SPOOL_DIR, else the user's state folder.",
)


def find_root(root: Path | None) -> Path:
    """The root that was named, or the one of the settings; it is wrong use where there is none."""
    from scorespan.errors import SettingsError
    from scorespan.settings import Settings
    from scorespan.spool.root import default_root

    try:
        root = root or Settings.load().spool_dir or default_root()
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    if not root.is_dir():
        raise click.UsageError(f"there is no spool root {root}")
    return root
