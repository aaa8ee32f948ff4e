"""`scorespan mart`: run the self-hosted data mart."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from scorespan.cli.tls_options import tls_options
from scorespan.endpoint import Endpoint
from scorespan.errors import SettingsError
from scorespan.mart.place import PORT, default_folder


@click.command()
@click.option(
    "--data",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the mart's data. Default: the user's state folder, scorespan-mart in it.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port to listen on; 0 takes any free one.",
)
@click.option("--insecure", is_flag=True, help="Allow plain http off loopback.")
@tls_options
@click.option(
    "--subscription",
    "subscriptions",
    multiple=True,
    metavar="ID",
    help="Make this subscription unless it is there, payload logging on. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one JSON line.")
def mart(  # noqa: PLR0913, PLR0917 - one for each option
    folder: Path | None,
    host: str,
    port: int,
    insecure: bool,
    certificate: Path | None,
    certificate_key: Path | None,
    subscriptions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run a data mart until it is interrupted.

    The first start writes an admin key into the data folder. Off loopback the mart needs a
    certificate, or --insecure. Subscriptions made here belong to the data mart
    00000000-0000-0000-0000-000000000000; others are made through the REST API.
    """
    try:
        from scorespan.mart.server import Opened, serve
        from scorespan.mart.subscribe import subscribe_once
    except ImportError as error:
        message = f"{error.name} is missing; install scorespan[mart]"
        raise click.ClickException(message) from None

    def say(url: str, opened: Opened) -> None:
        for subscription in subscriptions:
            subscribe_once(opened.mart, subscription)
        if as_json:
            known = {
                "url": url,
                "data": str(opened.folder),
                "admin_key_file": str(opened.key_file),
            }
            click.echo(json.dumps(known))
        else:
            click.echo(f"data mart at {url}, data in {opened.folder}")
        if opened.new_key is not None and sys.stdout.isatty():
            click.echo(f"admin key, also in {opened.key_file}: {opened.new_key}")
        sys.stdout.flush()

    endpoint = Endpoint(host, port, certificate, certificate_key)
    try:
        endpoint.check(insecure=insecure)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    try:
        serve((folder or default_folder()).absolute(), endpoint, say)
    except (OSError, SettingsError) as error:
        raise click.ClickException(f"the mart cannot start: {error}") from None
