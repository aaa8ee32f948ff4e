"""How the account looks on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from scorespan.cli.plain import plain
from scorespan.reconcile import TERMS, Account, Place


def account_table(
    account: Account, *, lost: Mapping[Place, int] | None = None, outstanding: int = 0
) -> Table:
    """The terms of the account: one line each, one column for each subscription and deployment.

    Args:
        account: the account.
        lost: records by place that are missing though something is known of them; None: those
            whose letters are.
        outstanding: how many records are on the way or lost.
    """
    # Where all goes to one data mart, it needs no name.
    routes = account.by_place(routes=True)
    places = account.by_place() if len({place.route for place in routes}) < 2 else routes
    missing = account.missing_count
    if lost is not None:
        missing += sum(lost.values()) - len(account.letterless.named)
    elif places is not routes:
        lost = account.letterless_by_place
    lost = lost or {}
    places.update({place: dict.fromkeys(TERMS, 0) for place in lost if place not in places})
    totals = account.totals
    drawn = Table(header_style="bold", box=None, pad_edge=False)
    drawn.add_column("", no_wrap=True)
    for place in places:
        name = plain(place.subscription_id).append("\n").append(plain(place.deployment_id))
        if places is routes:
            name.append("\n").append(plain(place.route.url if place.route else "?"))
        drawn.add_column(name, justify="right")
    drawn.add_column("all", justify="right", vertical="bottom")
    scored = (sum(terms.values()) + lost.get(place, 0) for place, terms in places.items())
    everything = sum(totals.values()) + missing + outstanding
    drawn.add_row("  scored", *map(_shown, scored), _shown(everything))
    for sign, term in zip("=+++++", TERMS, strict=True):
        counts = (terms[term] for terms in places.values())
        drawn.add_row(f"{sign} {term}", *map(_shown, counts), _shown(totals[term]))
    if missing:
        cells = (_shown(lost[place]) if place in lost else "" for place in places)
        drawn.add_row("+ missing", *cells, _shown(missing), style="red")
    if outstanding:
        drawn.add_row("+ outstanding", *("" for _ in places), _shown(outstanding), style="red")
    return drawn


def _shown(count: int) -> str:
    return f"{count:,}"
