"""`scorespan run`: start a service whose scorings are captured, its code unchanged."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping

import click

from scorespan.cli.local_mart import mart_variables
from scorespan.errors import SettingsError
from scorespan.settings import Settings

# A data mart that was started in the same breath needs seconds to its key, at its first start.
_MART_STARTS_SECONDS = 10.0


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[--subscription ID]",
)
@click.option(
    "--subscription",
    metavar="ID",
    help="Subscription of the scorings; the same as SCORESPAN_SUBSCRIPTION_ID.",
)
@click.argument("command")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(subscription: str | None, command: str, arguments: tuple[str, ...]) -> None:
    """Run COMMAND with capture switched on, in place of this process.

    The same as SCORESPAN_ENABLE=1 in its environment. Where no SCORESPAN_DATA_MART_URL says
    otherwise, records go to the data mart that `scorespan mart` runs on this machine.
    """
    environ = {**os.environ, "SCORESPAN_ENABLE": "1"}
    if subscription is not None:
        environ["SCORESPAN_SUBSCRIPTION_ID"] = subscription
    try:
        settings = Settings.load({}, environ)  # what is wrong is said at once
        if settings.export == "mart":
            found = _mart_variables(environ)
            if found:
                click.echo(f"scorespan: records go to {found['SCORESPAN_DATA_MART_URL']}", err=True)
            environ |= found
            Settings.load({}, environ).check_delivery()
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    path = shutil.which(command)
    if path is None:
        raise click.UsageError(f"there is no command {command}")
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(path, [command, *arguments], environ)  # noqa: S606 - the user's own command
    except OSError as error:
        raise click.UsageError(f"{command} cannot be started: {error.strerror}") from None


def _mart_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """As `mart_variables`, of a mart that is just starting, too."""
    ends = time.monotonic() + _MART_STARTS_SECONDS
    while True:
        try:
            return mart_variables(environ)
        except SettingsError:
            if time.monotonic() > ends:
                raise
        time.sleep(0.1)
