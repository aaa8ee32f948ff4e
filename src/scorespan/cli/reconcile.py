"""`scorespan reconcile`: is anything missing?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from scorespan.cli.plain import plain
from scorespan.cli.spool_root import find_root, root_option
from scorespan.cli.when import When

if TYPE_CHECKING:
    from scorespan.reconcile import Gap, Report

_SHOWN = 100
"""Names of one kind that are shown on a terminal; `--json` has all."""


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
    variables; processes may go on scoring. --since and --until choose by scoring timestamp;
    numbers of which nothing is known have none, and are always told.

    Exits with 0 when nothing is missing, 1 when something is, 2 when that could not be found out.
    """
    from scorespan.delivery.client import MartClient
    from scorespan.errors import DeliveryError, SettingsError
    from scorespan.reconcile import Window
    from scorespan.reconcile import reconcile as compare
    from scorespan.settings import Settings
    from scorespan.spool.root import Route

    if since is not None and until is not None and until < since:
        raise click.UsageError("--until is before --since")
    root = find_root(root)
    try:
        settings = Settings.load()
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
    finally:
        client.close()
    if as_json:
        ends = {"since": _text(since), "until": _text(until), "root": str(root)}
        click.echo(json.dumps({**ends, **report.as_dict()}))
    else:
        _print(Console(), report, since, until)
    if report.missing:
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

    style = "bold red" if report.missing else "bold green"
    console.print(Text(report.verdict, style=style), soft_wrap=True)
    asked = [f"{report.kind} {report.route.url}, data mart {report.route.data_mart_id}"]
    asked += [f"scored since {_text(since)}"] if since is not None else []
    asked += [f"scored until {_text(until)}"] if until is not None else []
    console.print(plain(", ".join(asked)), soft_wrap=True)
    console.print()
    console.print(account_table(report.account, lost=report.missing_by_place))
    lines = [*_missing_lines(report), *_other_lines(report)]
    if lines:
        console.print()
    for line in lines:
        console.print(plain(line), soft_wrap=True)


def _missing_lines(report: Report) -> Iterator[str]:
    yield from _some(
        f"missing: {lost.scoring_id or 'a record'} of {lost.spot.subscription_id}"
        f" / {lost.spot.deployment_id}, {_minute(lost.spot.minute)}, producer {lost.producer_id}"
        f" number {lost.number}: the ledger calls it stored, the data mart does not have it"
        for lost in report.lost
    )
    yield from _some(
        f"missing: producer {gap.producer_id}, {_numbers(gap)}: the ledger counts"
        " it as stored, the data mart does not have it"
        for gap in report.unnamed
    )
    yield from _some(
        f"missing: {short.lacking:,} of {short.spot.subscription_id} /"
        f" {short.spot.deployment_id}, {_minute(short.spot.minute)}: counted as stored, and the"
        " data mart has fewer"
        for short in report.short
    )
    yield from _some(
        f"missing: producer {gap.producer_id}, {_numbers(gap)}: given, and nowhere since"
        for gap in report.gaps
    )
    yield from _some(
        f"missing: the last {gap.size:,} of producer {gap.producer_id} ({_numbers(gap)}):"
        " counted by the producer, and nowhere since"
        for gap in report.trailing
    )


def _other_lines(report: Report) -> Iterator[str]:
    yield from _some(
        f"not judged: producer {gap.producer_id}, {_numbers(gap)}: its process lives and does not"
        " move"
        for gap in report.held
    )
    if report.unexpected:
        yield (
            f"stored by the data mart's word alone: {report.unexpected:,}; the ledger had not"
            " written it down, or has lost it"
        )
    if report.account.cut:
        yield f"ledger lines that cannot be read, cut by a crash or damaged: {report.account.cut:,}"
    yield from _some(
        f"twice in the data mart: {one.scoring_id} of {one.subscription_id}, {one.times} times"
        for one in report.doubled
    )
    yield from _some(
        f"conflict: another record came under the id {one.scoring_id} of {one.subscription_id};"
        " the first one stands"
        for one in report.conflicts
    )
    yield from _some(
        f"not judged here: {one.records:,} records of {_producer(one.producer_id)}"
        + (f", {one.open:,} numbers open" if one.open else "")
        for one in report.others
    )
    for route, count in report.elsewhere.items():
        name = "an unknown route" if route is None else f"{route.url}, data mart {route[1]}"
        yield f"not compared: {count:,} records that go to {name}"


def _some(lines: Iterable[str]) -> Iterator[str]:
    left = 0
    for place, line in enumerate(lines):
        if place < _SHOWN:
            yield line
        else:
            left += 1
    if left:
        yield f"  and {left:,} more like this; --json has all"


def _producer(producer_id: str) -> str:
    if not producer_id:
        return "no producer"
    return f"producer {producer_id}, which is not of this spool root"


def _numbers(gap: Gap) -> str:
    if gap.first == gap.last:
        return f"number {gap.first}"
    return f"numbers {gap.first} to {gap.last}"


def _minute(minute: int) -> str:
    try:
        moment = datetime.fromtimestamp(minute * 60, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return "at no known time"
    return f"{moment:%Y-%m-%d %H:%M}"


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(timezone.utc).isoformat()
