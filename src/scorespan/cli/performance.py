"""`scorespan performance`: request rate, response times and failure rate of each deployment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from scorespan.cli.plain import plain
from scorespan.cli.when import FORMS, When

_TIMES = (("mean", "mean ms"), ("p50", "p50"), ("p95", "p95"), ("p99", "p99"), ("max", "max"))
_WIDE = 120
"""Columns of a terminal that has room for the first and the last scoring, too."""


@click.command()
@click.argument("subscription")
@click.option("--since", type=When(), help=f"Scorings from then on: {FORMS}. Default: all.")
@click.option("--deployment", help="Only the deployment of this id.")
@click.option("--json", "as_json", is_flag=True, help="Print the data mart's answer as JSON.")
def performance(
    subscription: str, since: datetime | None, deployment: str | None, *, as_json: bool
) -> None:
    """Show how many scorings of SUBSCRIPTION there were, how long they took, how many failed.

    A failed scoring counts as a request. Response times are of requests, in ms. The data mart,
    which must be scorespan's own, and the credentials come from the SCORESPAN_* variables; where
    those name none, it is the one that `scorespan mart` runs on this machine.
    """
    from scorespan.cli.local_mart import mart_settings
    from scorespan.delivery.client import MartClient
    from scorespan.errors import DeliveryError, SettingsError

    try:
        client = MartClient(mart_settings())
        found = client.get(
            "/performance",
            subscription_id=subscription,
            start=None if since is None else since.isoformat(),
            deployment_id=deployment,
        )
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except DeliveryError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found["deployments"]:
        click.echo("no scorings")
        return
    console = Console()
    console.print(performance_table(found["deployments"], wide=console.width >= _WIDE))
    console.print(f"from {_moment(found['start'])} to {_moment(found['end'])} UTC")


def performance_table(deployments: Sequence[Mapping[str, Any]], *, wide: bool) -> Table:
    """Deployments as the data mart's performance route answers them, one in a line.

    Args:
        deployments: theirs.
        wide: also when the first and the last scoring of each was.
    """
    drawn = Table(
        header_style="bold", box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0)
    )
    drawn.add_column("deployment", overflow="fold")
    headings = ["requests", "rows", "failed", "rate", "/min", *(name for _, name in _TIMES)]
    if wide:
        headings += ["first", "last"]
    for heading in headings:
        drawn.add_column(heading, justify="right", no_wrap=True)
    for one in deployments:
        cells = [
            f"{one['requests']:,}",
            f"{one['rows']:,}",
            f"{one['failures']:,}",
            f"{one['failure_rate']:.1%}",
            _number(one["requests_per_minute"]),
            *(_number(one["response_time"][member]) for member, _ in _TIMES),
        ]
        if wide:
            cells += [_moment(one["first"]), _moment(one["last"])]
        drawn.add_row(plain(one["deployment_id"]), *map(plain, cells))
    return drawn


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _moment(timestamp: str) -> str:
    return timestamp[:19].replace("T", " ")
