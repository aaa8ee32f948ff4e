"""How the account looks on a terminal."""

from __future__ import annotations

from rich.table import Table

from scorespan.cli.plain import plain
from scorespan.reconcile import TERMS, Account


def account_table(account: Account) -> Table:
    """The terms of the account: one line each, one column for each subscription and deployment."""
    places = account.by_place()
    drawn = Table(header_style="bold", box=None, pad_edge=False)
    drawn.add_column("")
    for place in places:
        name = plain(place.subscription_id).append("\n").append(plain(place.deployment_id))
        drawn.add_column(name, justify="right")
    drawn.add_column("all", justify="right", vertical="bottom")
    scored = (sum(terms.values()) for terms in places.values())
    drawn.add_row("  scored", *map(str, scored), str(account.scored))
    for sign, term in zip("=+++++", TERMS, strict=True):
        counts = (terms[term] for terms in places.values())
        drawn.add_row(f"{sign} {term}", *map(str, counts), str(account.totals[term]))
    if account.missing:
        drawn.add_row("  missing", *("" for _ in places), str(account.missing_count), style="red")
    return drawn
