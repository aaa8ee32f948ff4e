"""`scorespan spool`: what is on the disk of this machine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from scorespan.cli.plain import plain
from scorespan.cli.process import told
from scorespan.cli.spool_export import export_letters
from scorespan.cli.spool_list import list_letters
from scorespan.cli.spool_requeue import requeue_letters
from scorespan.cli.spool_root import find_root, root_option, unreadable
from scorespan.cli.spool_show import show

if TYPE_CHECKING:
    from scorespan.cli.findings import Section
    from scorespan.reconcile import DirectoryReport, Gap

_GAPS_SHOWN = 20


@click.group()
def spool() -> None:
    """What waits on this machine, and what became of the rest."""


for _command in (list_letters, show, requeue_letters, export_letters):
    spool.add_command(_command)


@spool.command()
@root_option
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(root: Path | None, as_json: bool) -> None:
    """Show every process's directory, dead or alive, and the account.

    Exits with 1 when a record is missing, or a dead letter. What came through a Collector has
    numbers of producers elsewhere: of theirs, the data mart or other machines may have what is not
    here, and `scorespan reconcile` says whether anything is missing.
    """
    from scorespan.cli.account import account_table
    from scorespan.cli.findings import letter_sections, nameless_notes, outstanding_notes
    from scorespan.reconcile import PATIENCE_SECONDS, read_account

    root = find_root(root)
    try:
        account = read_account(root, names=False, patience=PATIENCE_SECONDS)
    except OSError as error:
        raise unreadable(error) from None
    reports = account.directories
    if as_json:
        known = {
            "root": str(root),
            "directories": [report._asdict() for report in reports],
            "scored": account.scored,
            **account.totals,
            "missing": account.missing_count,
            "missing_numbers": [gap._asdict() for gap in account.missing],
            **account.letterless.as_dict(),
            "nameless": dict(account.nameless),
            "outstanding": sum(gap.size for gap in account.outstanding),
            "outstanding_numbers": [gap._asdict() for gap in account.outstanding],
            "not_judged": [gap._asdict() for gap in account.held],
        }
        click.echo(json.dumps(known))
    else:
        console = Console()
        console.print(plain(f"spool root {root}"))
        if reports:
            console.print(_directories_table(reports))
            for report in reports:
                if report.status is not None:
                    console.print(plain(f"{report.name}: {told(report.status)}"), soft_wrap=True)
        console.print(account_table(account))
        for note in nameless_notes(account):
            console.print(plain(note), soft_wrap=True)
        for note in outstanding_notes(account):
            console.print(plain(note), soft_wrap=True)
        for section in letter_sections(account):
            _print_section(console, section)
        _print_gaps(console, "missing", account.missing)
        _print_gaps(console, "not judged, its process lives and does not move", account.held)
    if not account.is_complete:
        raise SystemExit(1)


def _print_section(console: Console, section: Section) -> None:
    if section.lines:
        console.print(section.heading, soft_wrap=True)
    for line in section.lines[:_GAPS_SHOWN]:
        console.print(plain(f"  {line}"), soft_wrap=True)
    if len(section.lines) > _GAPS_SHOWN:
        console.print(f"and {len(section.lines) - _GAPS_SHOWN:,} more like this; --json has all")


def _print_gaps(console: Console, what: str, gaps: list[Gap]) -> None:
    for gap in gaps[:_GAPS_SHOWN]:
        numbers = f"number {gap.first}"
        if gap.last > gap.first:
            numbers = f"numbers {gap.first} to {gap.last}"
        console.print(plain(f"{what}: producer {gap.producer_id}, {numbers}"), soft_wrap=True)
    if len(gaps) > _GAPS_SHOWN:
        console.print(f"and {len(gaps) - _GAPS_SHOWN:,} more like this; --json has all")


def _directories_table(reports: list[DirectoryReport]) -> Table:
    drawn = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("directory", "process", "route", "waiting", "oldest", "bytes", "state"):
        drawn.add_column(name, justify="right" if name in {"waiting", "bytes"} else "left")
    for report in reports:
        oldest = ""
        if report.oldest is not None:
            oldest = f"{max(0, int(time.time() // 60) - report.oldest)} min"
        blocked = (report.status or {}).get("blocked")
        drawn.add_row(
            plain(report.name),
            "alive" if report.alive else "gone",
            plain(report.route.url if report.route else "?"),
            str(report.waiting),
            oldest,
            str(report.size),
            plain(f"paused: {blocked}" if blocked else ""),
        )
    return drawn
