"""Letters: what lies in a spool root's `dead/` and `withheld/`, chosen by what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from scorespan.spool.dead import DEAD, WITHHELD, LetterFile, letter_files

FOLDERS = (DEAD, WITHHELD)


class Selection(NamedTuple):
    """Which letters: those that meet every condition that is set.

    `names` are scoring ids and names of letter files; `since` and `until` are about the time when
    a letter was written, `until` itself not included.
    """

    folders: tuple[str, ...] = FOLDERS
    names: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    subscription_ids: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, file: LetterFile) -> bool:
        """Whether this letter is meant."""
        head = file.head
        return (
            (not self.names or not self.names.isdisjoint(names_of(file)))
            and (not self.codes or head.code in self.codes)
            and (not self.subscription_ids or head.subscription_id in self.subscription_ids)
            and (self.since is None or file.moment >= self.since)
            and (self.until is None or file.moment < self.until)
        )


def names_of(file: LetterFile) -> set[str]:
    """The names by which people may ask for a letter."""
    return {file.path.name, file.path.stem, file.head.scoring_id or file.path.name}


def select(
    root: Path, selection: Selection, *, on_unreadable: Callable[[Path], None]
) -> Iterator[LetterFile]:
    """The letters of a root that are meant, those of one folder oldest first.

    Only heads are read. Letters may come and go meanwhile.

    Args:
        root: the spool root.
        selection: which letters.
        on_unreadable: called with every file of these folders that is no letter.

    Raises:
        OSError: a folder cannot be read.
    """
    for folder in selection.folders:
        for file in letter_files(root / folder, on_unreadable=on_unreadable):
            if selection.takes(file):
                yield file


def kind_of(file: LetterFile) -> str:
    """`dead` or `withheld`."""
    return file.path.parent.name


def describe(file: LetterFile) -> dict[str, Any]:
    """What is known of a letter without its entry, for machines."""
    head = file.head._asdict()
    del head["entry"], head["place"]
    return {"letter": file.path.name, "kind": kind_of(file), **head, "size": file.size}
