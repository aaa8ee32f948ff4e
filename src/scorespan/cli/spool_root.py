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
    try:
        found = root.is_dir()
    except OSError as error:
        raise unreadable(error) from None
    if not found:
        raise click.UsageError(f"there is no spool root {root}")
    return root


class _UnreadableError(click.ClickException):
    """What cannot be read is neither fine nor bad: no 0, no 1."""

    exit_code = 2


def unreadable(error: OSError) -> click.ClickException:
    """What to raise where the root, or what is in it, cannot be read."""
    return _UnreadableError(f"{error.filename}: {error.strerror}")
