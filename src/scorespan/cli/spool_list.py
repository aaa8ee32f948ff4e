"""`scorespan spool list`: the dead letters and the withheld records."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from scorespan.cli.letters import Scan, asked_by, filters, shown
from scorespan.cli.spool_root import find_root, root_option
from scorespan.letters import Selection, describe, kind_of
from scorespan.spool.dead import DEAD, LetterFile

_HEADERS = (
    "time (UTC)", "reason", "status", "attempts", "size", "subscription", "scoring id or letter",
)  # fmt: skip
_GAP = "  "
_RIGHT = frozenset({"status", "attempts", "size"})
_MEASURED = 1000
"""Letters whose widths make the columns; more are not held back."""


@click.command("list")
@root_option
@filters
@click.option("--json", "as_json", is_flag=True, help="Print them as one JSON document.")
def list_letters(root: Path | None, selection: Selection, as_json: bool) -> None:
    """List dead letters and withheld records, oldest first, and count them by reason.

    No body is shown; `scorespan spool show` does that. Withheld records beyond the bound of what
    is kept of them stand in the ledger alone.
    """
    scan = Scan(find_root(root), selection)
    if as_json:
        _print_json(scan)
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in _lines(iter(scan), width):
        click.echo(line)
    for sentence in scan.summary():
        click.echo(sentence)


def _print_json(scan: Scan) -> None:
    """One document, written while the letters are read."""
    click.echo('{"letters": [', nl=False)
    for count, file in enumerate(scan):
        click.echo(("," if count else "") + "\n" + json.dumps(describe(file)), nl=False)
    counts = {kind: scan.by_code(kind) for kind in sorted({kind for kind, _ in scan.counts})}
    no_letters = [str(path) for path in scan.no_letters]
    rest = json.dumps({"counts": counts, "no_letters": no_letters})
    click.echo("\n], " + rest.removeprefix("{"))


def _lines(files: Iterator[LetterFile], width: int | None) -> Iterator[str]:
    """The table, in columns as wide as the first letters need."""
    first = [(kind_of(file), _cells(file)) for file in itertools.islice(files, _MEASURED)]
    if not first:
        return
    rows = [_HEADERS, *(cells for _, cells in first)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    # What to ask for a letter by is never cut: where it has no room it gets a line of its own.
    fits = width is None or sum(widths) + len(_GAP) * (len(widths) - 1) <= width
    last = _GAP if fits else "\n" + _GAP
    kind = None
    for found, cells in itertools.chain(first, ((kind_of(file), _cells(file)) for file in files)):
        if found != kind:
            if kind is not None:
                yield ""
            kind = found
            yield click.style("dead letters" if kind == DEAD else "withheld records", bold=True)
            yield click.style(_line(_HEADERS, widths, last), bold=True)
        yield _line(cells, widths, last)
    yield ""


def _line(cells: tuple[str, ...], widths: list[int], last: str) -> str:
    padded = [
        cell.rjust(width) if header in _RIGHT else cell.ljust(width)
        for header, cell, width in zip(_HEADERS[:-1], cells, widths, strict=False)
    ]
    return _GAP.join(padded) + last + cells[-1]


def _cells(file: LetterFile) -> tuple[str, ...]:
    head = file.head
    return (
        f"{file.moment:%Y-%m-%d %H:%M:%S}",
        shown(head.code),
        "" if head.status is None else str(head.status),
        str(head.attempts),
        _size(file.size),
        shown(head.subscription_id or ""),
        shown(asked_by(file)),
    )


def _size(count: int) -> str:
    for unit, bytes_of_unit in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if count >= bytes_of_unit:
            return f"{count / bytes_of_unit:.1f} {unit}"
    return f"{count} B"
