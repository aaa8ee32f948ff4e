"""`scorespan reconcile`: is anything missing?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from scorespan.cli.plain import plain
from scorespan.cli.spool_root import find_root, root_option, unreadable
from scorespan.cli.when import When

if TYPE_CHECKING:
    from scorespan.reconcile import Report


class _NotReachedError(click.ClickException):
    """No answer is no good answer: neither 0 nor 1."""

    exit_code = 2


@click.command()
@click.option("--since", type=When(), help="Compare records scored from then on: 2h, 7d, a date.")
@click.option("--until", type=When(), help="Compare records scored up to then.")
@root_option
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, every name included.")
def reconcile(
    since: datetime | None, until: datetime | None, root: Path | None, as_json: bool
) -> None:
    """Compare what was scored here with the data mart, and name what is missing.

    Looks at the spool and the ledger of this machine, and at the data mart of the SCORESPAN_*
    variables, or else the one that `scorespan mart` runs here; processes may go on scoring.
    --since and --until choose by scoring timestamp; numbers of which nothing is known have none,
    and are always told.

    What came through a Collector has numbers of producers elsewhere. Where higher ones have come,
    one that neither this machine nor the data mart knows is outstanding: on the way, or lost.

    Exits with 0 when nothing is missing, 1 when something is missing or outstanding, 2 when that
    could not be found out.
    """
    from scorespan.cli.local_mart import mart_settings
    from scorespan.delivery.client import MartClient
    from scorespan.errors import DeliveryError, SettingsError
    from scorespan.reconcile import Window
    from scorespan.reconcile import reconcile as compare
    from scorespan.spool.root import Route

    if since is not None and until is not None and until < since:
        raise click.UsageError("--until is before --since")
    root = find_root(root)
    try:
        settings = mart_settings()
        client = MartClient(settings)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    route = Route(settings.data_mart_url or "", settings.data_mart_id or "", settings.api_version)
    window = Window(since, until)
    try:
        with _progress() as steps:
            report = compare(root, client, route, window=window, **steps)
    except DeliveryError as error:
        raise _NotReachedError(f"the data mart could not be read: {error}") from None
    except OSError as error:
        raise unreadable(error) from None
    finally:
        client.close()
    if as_json:
        ends = {"since": _text(since), "until": _text(until), "root": str(root)}
        click.echo(json.dumps({**ends, **report.as_dict()}))
    else:
        _print(Console(), report, since, until)
    if not report.is_complete:
        raise SystemExit(1)


@contextmanager
def _progress() -> Iterator[dict[str, Any]]:
    """What is done now, and how many records were read, on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield {}
        return
    read, step = 0, ""
    with console.status("") as shown:

        def on_step(what: str) -> None:
            nonlocal read, step
            read, step = 0, what
            shown.update(f"{what} ...")

        def on_read(count: int) -> None:
            nonlocal read
            read += count
            shown.update(f"{step} ... {read:,} records")

        yield {"on_step": on_step, "on_read": on_read}


def _print(
    console: Console, report: Report, since: datetime | None, until: datetime | None
) -> None:
    from scorespan.cli.account import account_table
    from scorespan.cli.findings import SHOWN, sections

    style = "bold green" if report.is_complete else "bold red"
    console.print(Text(report.verdict, style=style), soft_wrap=True)
    asked = [f"{report.kind} at {report.route.url}, data mart {report.route.data_mart_id}"]
    asked += [f"scored since {_text(since)}"] if since is not None else []
    asked += [f"scored until {_text(until)}"] if until is not None else []
    console.print(plain(", ".join(asked)), soft_wrap=True)
    console.print()
    lost, outstanding = report.missing_by_place, report.outstanding
    console.print(account_table(report.account, lost=lost, outstanding=outstanding))
    for section in sections(report, dated=bool(since or until)):
        console.print()
        heading = section.heading + (f" ({section.records:,})" if section.records else "")
        style = "red" if heading.startswith(("missing", "outstanding")) else ""
        console.print(Text(heading, style=style), soft_wrap=True)
        for line in section.lines[:SHOWN]:
            console.print(plain(f"  {line}"), soft_wrap=True)
        if len(section.lines) > SHOWN:
            console.print(f"  and {len(section.lines) - SHOWN:,} more like this; --json has all")


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
