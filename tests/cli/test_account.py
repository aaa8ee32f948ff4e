"""The account on a terminal: columns that add up."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from scorespan.cli.account import account_table
from scorespan.reconcile import Account, Gap, Place, read_account
from scorespan.reconcile.tally import Tally
from scorespan.spool.ledger import STORED, Ledger, LedgerItem
from scorespan.spool.root import Route, prepare_root


def drawn(account: Account, **lost: int) -> list[list[str]]:
    """The table's lines, in words."""
    console = Console(width=200, file=io.StringIO())
    places = {Place(name, "d", 0): count for name, count in lost.items()}
    console.print(account_table(account, lost=places))
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_what_is_missing_stands_beside_the_terms():
    """Each column adds up; numbers without a place count in the last one only."""
    tally = Tally()
    for number in range(1, 1201):
        tally.add_item(None, LedgerItem(STORED, "s", "d", "p", number, "", 0))
    lines = drawn(Account(tally, [Gap("p", 1201, 1202)]), s=3)
    assert ["scored", "1,203", "1,205"] in lines
    assert ["=", "stored", "1,200", "1,200"] in lines
    assert ["+", "missing", "3", "5"] in lines


def test_a_place_of_which_all_is_missing_has_its_column():
    """Nothing else is known of it."""
    lines = drawn(Account(), s=2)
    assert ["scored", "2", "2"] in lines


def test_several_routes_have_columns_of_their_own(tmp_path: Path):
    """With the address of each; where there is one, it needs no name."""
    prepare_root(tmp_path)
    for place, name in enumerate(("one", "two"), 1):
        ledger = Ledger(tmp_path / "ledger", name, route=Route(f"http://{name}", "m"))
        ledger.append([LedgerItem(STORED, "s", "d", f"p{place}", 1, "id", 0)])
        ledger.close()
        shown = drawn(read_account(tmp_path))
        assert (["http://one", "http://two", "all"] in shown) == (place == 2)
    assert ["scored", "1", "1", "2"] in shown
