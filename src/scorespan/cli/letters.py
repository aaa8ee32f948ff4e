"""Letters on the command line: how they are chosen, named and counted."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from scorespan.cli.plain import plain
from scorespan.cli.when import FORMS, When
from scorespan.letters import FOLDERS, Selection, kind_of, select
from scorespan.spool.dead import DEAD, WITHHELD, LetterFile

_LONGEST_ID = 56
_NO_LETTERS_SHOWN = 5
_Command = TypeVar("_Command", bound=Callable[..., Any])

_FILTERS = (
    click.option("--reason", "codes", multiple=True, metavar="CODE", help="Only this reason code."),
    click.option("--id", "ids", multiple=True, metavar="SCORING_ID", help="Only this scoring id."),
    click.option(
        "--subscription",
        "subscription_ids",
        multiple=True,
        metavar="ID",
        help="Only this subscription.",
    ),
    click.option("--since", type=When(), help=f"Only from this time on: {FORMS}."),
    click.option("--until", type=When(), help="Only before this time."),
    click.option("--dead", is_flag=True, help="Only dead letters."),
    click.option("--withheld", is_flag=True, help="Only withheld records."),
)


def filters(command: _Command) -> _Command:
    """Give a command the options that choose letters; it gets them as `selection`."""

    @functools.wraps(command)
    def with_selection(  # noqa: PLR0913 - one for each option
        *arguments: Any,
        codes: tuple[str, ...],
        ids: tuple[str, ...],
        subscription_ids: tuple[str, ...],
        since: datetime | None,
        until: datetime | None,
        dead: bool,
        withheld: bool,
        **options: Any,
    ) -> Any:
        if dead and withheld:
            raise click.UsageError("--dead and --withheld leave nothing; give neither to see both")
        chosen = Selection(
            folders=(DEAD,) if dead else (WITHHELD,) if withheld else FOLDERS,
            names=frozenset(ids),
            codes=frozenset(codes),
            subscription_ids=frozenset(subscription_ids),
            since=since,
            until=until,
        )
        return command(*arguments, selection=chosen, **options)

    wrapped: Any = with_selection
    for option in reversed(_FILTERS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return] # click keeps the function


class Scan:
    """One look through the letters of a root.

    Attributes:
        counts: letters by kind and reason code, as far as the look has come.
        no_letters: files that are no letters.
    """

    def __init__(self, root: Path, selection: Selection) -> None:
        self._root = root
        self._selection = selection
        self.counts: Counter[tuple[str, str]] = Counter()
        self.no_letters: list[Path] = []

    def __iter__(self) -> Iterator[LetterFile]:
        found = select(self._root, self._selection, on_unreadable=self.no_letters.append)
        try:
            for file in found:
                self.counts[kind_of(file), file.head.code] += 1
                yield file
        except OSError as error:
            raise click.ClickException(f"{error.filename}: {error.strerror}") from None

    def total(self, kind: str) -> int:
        """How many of this kind there were."""
        return sum(count for (one, _), count in self.counts.items() if one == kind)

    def by_code(self, kind: str) -> dict[str, int]:
        """How many of this kind for each reason code, the most frequent first."""
        return {code: count for (one, code), count in self.counts.most_common() if one == kind}

    def summary(self) -> Iterator[str]:
        """What there was, in sentences."""
        for kind, words in ((DEAD, "dead letters"), (WITHHELD, "withheld records")):
            if kind in self._selection.folders:
                total = self.total(kind)
                codes = (f"{count:,} {shown(code)}" for code, count in self.by_code(kind).items())
                said = counted(total, words) if total else f"no {words}"
                yield said + (f": {', '.join(codes)}" if total else "")
        yield from self.complaints()

    def complaints(self) -> Iterator[str]:
        """What lies among the letters and is none."""
        if not self.no_letters:
            return
        count = len(self.no_letters)
        names = [shown(f"{path.parent.name}/{path.name}") for path in self.no_letters]
        more = ", ..." if count > _NO_LETTERS_SHOWN else ""
        said = "1 file is no letter" if count == 1 else f"{count} files are no letters"
        yield f"{said}: {', '.join(names[:_NO_LETTERS_SHOWN])}{more}"


def shown(text: str) -> str:
    """One line of text that cannot steer the terminal."""
    return plain(text).plain


def counted(count: int, words: str) -> str:
    """A number and its words: 1 dead letter, 2 dead letters."""
    return f"{count:,} {words if count != 1 else words.removesuffix('s')}"


def asked_by(file: LetterFile) -> str:
    """What to ask for a letter by: its scoring id, or its file where that is none to type."""
    scoring_id = file.head.scoring_id or ""
    good = 0 < len(scoring_id) <= _LONGEST_ID and scoring_id.isprintable()
    return scoring_id if good else file.path.stem


@contextlib.contextmanager
def counting(doing: str, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show on a terminal how far long work has come; call what this gives after each letter."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description} {task.completed:,.0f} letters ...")
    with Progress(
        columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as progress:
        task = progress.add_task(doing)
        yield lambda: progress.advance(task)
