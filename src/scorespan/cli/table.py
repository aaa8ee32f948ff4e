"""`scorespan table`: the payload table of a subscription."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from scorespan.cli.plain import plain

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.")
_LONGEST_CELL = 20
_ANSWER_COLUMNS = 3
_FIRST = ("scoring_id", "scoring_timestamp")
_HIDDEN = ("deployment_id", "asset_revision")


@click.command()
@click.argument("subscription")
@click.option("--limit", default=10, show_default=True, help="How many rows.")
@click.option("--json", "as_json", is_flag=True, help="Print the fields and values as JSON.")
def table(subscription: str, limit: int, as_json: bool) -> None:
    """Show the newest rows of SUBSCRIPTION's payload table.

    The data mart and the credentials come from the SCORESPAN_* variables; where those name none,
    it is the one that `scorespan mart` runs on this machine.
    """
    from scorespan.cli.local_mart import mart_settings
    from scorespan.delivery.client import MartClient
    from scorespan.errors import DeliveryError, SettingsError

    try:
        client = MartClient(mart_settings())
        page = client.get(
            "/scoring_transactions",
            subscription_id=subscription,
            limit=limit,
            include_total_count="true",
        )
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except DeliveryError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(page))
        return
    console = Console()
    console.print(payload_table(page["fields"], page["values"], console.width))
    console.print(f"{len(page['values'])} of {page['total_count']} rows")


def payload_table(fields: Sequence[str], values: Sequence[Sequence[Any]], width: int) -> Table:
    """Rows of a payload table, in as many columns as fit: ids first, then both ends of the rest."""
    shown = _columns(fields, values, width)
    drawn = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for place in shown:
        drawn.add_column(plain("…" if place is None else fields[place]), no_wrap=True)
    for row in values:
        drawn.add_row(*(plain("…" if place is None else _cell(row[place])) for place in shown))
    return drawn


def _columns(
    fields: Sequence[str], values: Sequence[Sequence[Any]], width: int
) -> list[int | None]:
    """Places of the columns to show; None stands for those left out."""

    def needed(place: int) -> int:
        return max(len(fields[place]), *(len(_cell(row[place])) for row in values)) + 1

    # Columns that hold nothing yet, such as those of active debiasing, tell a reader nothing.
    filled = [
        place for place in range(len(fields)) if any(row[place] is not None for row in values)
    ]
    first = [place for place in filled if fields[place] in _FIRST]
    rest = [place for place in filled if fields[place] not in (*_FIRST, *_HIDDEN)]
    # The answer stands at the end of a row, behind the features.
    middle, answer = rest[:-_ANSWER_COLUMNS], rest[-_ANSWER_COLUMNS:]
    while len(answer) > 1 and sum(map(needed, (*first, *answer))) > width:
        answer.remove(max(answer, key=needed))
    left = width - sum(map(needed, (*first, *answer))) - len("… ")
    chosen = {*first, *answer}
    for place in middle:
        left -= needed(place)
        if left < 0:
            break
        chosen.add(place)
    shown: list[int | None] = []
    for place in (*first, *rest):
        if place in chosen:
            shown.append(place)
        elif shown[-1:] != [None]:
            shown.append(None)
    return shown


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) <= _LONGEST_CELL:
        return text
    if _TIME.match(text):
        return text[:19]
    # Both ends: an id ends in the number of its row.
    half = _LONGEST_CELL // 2
    return f"{text[: half - 1]}…{text[-half:]}"
