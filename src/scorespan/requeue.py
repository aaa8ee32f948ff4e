"""The requeue: letters become entries of the spool again, and are delivered once more.

Entries go into a directory of their own, which a process with their route adopts: one that is
running within seconds, else the next. A letter is removed when its entry is on the disk under its
name; a crash in between leaves both, and the data mart's key removes the second record. One that
goes to another route gets another name there: the ledger says so under the old one, before the
letter is removed.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from scorespan import attributes
from scorespan.conversion.span import ScoringSpan, decode, encode
from scorespan.delivery.batch import ledger_item
from scorespan.errors import SpoolDamagedError
from scorespan.spool.dead import LetterFile
from scorespan.spool.files import DISK, Files
from scorespan.spool.ledger import MOVED, Ledger, LedgerItem
from scorespan.spool.root import Route, create_directory
from scorespan.spool.segment import SUFFIX
from scorespan.spool.segment_writer import SegmentWriter

NO_ROUTE = "it does not say where it was to go"
"""Why a letter of an older version stays where no route is given."""

_SEGMENT_BYTES = 16 * 1024 * 1024
_EDITED = {
    "request": attributes.REQUEST,
    "response": attributes.RESPONSE,
    "subscription_id": attributes.SUBSCRIPTION_ID,
    "binding_id": attributes.BINDING_ID,
    "deployment_id": attributes.DEPLOYMENT_ID,
    "dialect": attributes.DIALECT,
    "feature_names": attributes.FEATURE_NAMES,
    "prediction_fields": attributes.PREDICTION_FIELDS,
}
# The producer tells of both bodies in one text, by their short names.
_TOLD_TOGETHER = re.compile(r"; (?=(?:request|response): )")


class Edit(NamedTuple):
    """What is changed on a span before it goes back; None: nothing."""

    request: bytes | None = None
    response: bytes | None = None
    subscription_id: str | None = None
    binding_id: str | None = None
    deployment_id: str | None = None
    dialect: str | None = None
    feature_names: tuple[str, ...] | None = None
    prediction_fields: tuple[str, ...] | None = None

    def apply(self, span: ScoringSpan) -> ScoringSpan:
        """The changed span, with a note that says what was changed.

        What was wrong with an attribute that is given anew is wrong no longer.
        """
        changed = {name: value for name, value in self._asdict().items() if value is not None}
        if not changed:
            return span
        mended = tuple(f"{word}:" for name in changed for word in (name, _EDITED[name]))
        problems = tuple(
            problem
            for told in span.problems or ()
            for problem in _TOLD_TOGETHER.split(told)
            if not problem.startswith(mended)
        )
        note = f"requeue: {', '.join(_EDITED[name] for name in changed)} changed"
        details = self._details(dict(span.details or {}))
        changed.pop("prediction_fields", None)
        return span._replace(
            **changed,
            problems=problems or None,
            notes=(*(span.notes or ()), note),
            details=details or None,
        )

    def _details(self, details: dict[str, Any]) -> dict[str, Any]:
        """The changed details; how a former body was kept says nothing of a new one."""
        for side, body in (("request", self.request), ("response", self.response)):
            if body is not None:
                details.pop(f"{side}_encoding", None)
                details.pop(f"{side}_size", None)
        if self.prediction_fields is not None:
            details["prediction_fields"] = list(self.prediction_fields)
        return details


@dataclass(frozen=True)
class Requeued:
    """What a requeue did: letters by where they go now, and those that stay, with the reason."""

    counts: Counter[Route] = field(default_factory=Counter)
    refused: list[tuple[Path, str]] = field(default_factory=list)


def requeue(  # noqa: PLR0913 - the disk is a parameter
    root: Path,
    letters: Iterable[LetterFile],
    *,
    route: Route | None = None,
    edit: Edit | None = None,
    files: Files = DISK,
    progress: Callable[[], None] = lambda: None,
) -> Requeued:
    """Put letters back into the spool, and remove them.

    When this returns, every requeued entry is synced and can be adopted.

    Args:
        root: the spool root.
        letters: which; they may be in any folder of the root.
        route: where they go; None: where each was to go. On another route than its own a record
            has another producer and number, and a note that tells the first.
        edit: what is changed on each of them.
        files: the disk.
        progress: called after each letter.

    Raises:
        OSError: the disk takes no more. Each letter is either requeued or still there.
    """
    done = Requeued()
    with contextlib.ExitStack() as stack:
        directories: dict[Route, _Directory] = {}
        for file in letters:
            try:
                target, pieces, moved = _entry(file, route, edit)
            except _StaysError as reason:
                done.refused.append((file.path, str(reason)))
                progress()
                continue
            if target not in directories:
                directories[target] = stack.enter_context(_Directory(root, target, files))
            directories[target].put(file, pieces, moved)
            done.counts[target] += 1
            progress()
    return done


class _StaysError(Exception):
    """This letter cannot be requeued; says why."""


def _entry(
    file: LetterFile, route: Route | None, edit: Edit | None
) -> tuple[Route, list[bytes], LedgerItem | None]:
    """Where a letter goes, its entry, and what the ledger of its own route must be told."""
    if route is None:
        if file.head.route is None:
            raise _StaysError(NO_ROUTE)
        try:
            route = Route(*file.head.route)
        except TypeError:
            raise _StaysError(f"its route {file.head.route} is not one of this version") from None
    try:
        entry = file.read_entry()
        span = decode(entry)
    except FileNotFoundError:
        raise _StaysError("it has gone meanwhile") from None
    except OSError as error:
        raise _StaysError(f"it cannot be read: {error.strerror}") from error
    except SpoolDamagedError as error:
        raise _StaysError(f"it is no span any more: {error}") from error
    if file.is_damaged(entry):
        raise _StaysError("its bytes have changed since they were written")
    changed = span if edit is None else edit.apply(span)
    moved = None
    if file.head.route is not None and route != file.head.route:
        changed = _renamed(changed, file.head.route)
        moved = ledger_item(span, MOVED)
    return route, [entry] if changed is span else encode(changed), moved


def _renamed(span: ScoringSpan, old_route: tuple[str, ...]) -> ScoringSpan:
    """The span under a producer of its own.

    A producer's numbers are complete on its route alone: elsewhere one of them would make all
    before it look missing. Requeued twice, after a crash, it has the same name again.
    """
    known_as = f"{span.producer_id}/{span.sequence}"
    note = f"requeue: was to go to {', '.join(old_route)} as {known_as}"
    return span._replace(
        producer_id=sha256(known_as.encode()).hexdigest()[:32],
        sequence=1,
        notes=(*(span.notes or ()), note),
    )


class _Directory:
    """A directory of entries for one route, held until all is in it. A context manager.

    Entries go into segments. Letters are removed with each segment that is finished, so that a
    requeue takes little more of the disk than the letters did.
    """

    def __init__(self, root: Path, route: Route, files: Files) -> None:
        self._root = root
        self._files = files
        self._owned = create_directory(root, route, files)
        self._header = {"owner": self._owned.path.name, "route": list(route)}
        self._segments = 0
        self._entries = 0
        self._segment: SegmentWriter | None = None
        self._pending: list[LetterFile] = []
        self._moved: dict[tuple[str, ...], list[LedgerItem]] = {}

    def put(self, file: LetterFile, pieces: list[bytes], moved: LedgerItem | None) -> None:
        """Write one entry; its letter is removed with the end of the segment."""
        if self._segment is None:
            number = self._segments + 1
            path = self._owned.path / f"{number:08d}{SUFFIX}"
            self._segment = SegmentWriter(path, number, self._header, self._files)
            self._segments = number
        self._entries += 1
        self._segment.append(self._entries, pieces, sum(map(len, pieces)))
        self._pending.append(file)
        if moved is not None and file.head.route is not None:
            self._moved.setdefault(file.head.route, []).append(moved)
        if self._segment.size >= _SEGMENT_BYTES:
            self._finish(self._segment)

    def _finish(self, segment: SegmentWriter) -> None:
        segment.seal()
        segment.sync()
        segment.close()
        self._files.sync_folder(self._owned.path)
        self._files.sync_folder(self._root)
        # From here on the entries stay, whatever happens; the letters may go.
        self._segment = None
        self._write_moved()
        for file in self._pending:
            with contextlib.suppress(FileNotFoundError):
                self._files.unlink(file.path)
        for folder in {file.path.parent for file in self._pending}:
            self._files.sync_folder(folder)
        self._pending.clear()

    def _write_moved(self) -> None:
        name = f"{self._owned.path.name}-moved"
        for route, items in self._moved.items():
            ledger = Ledger(self._root / "ledger", name, route=route, files=self._files)
            with contextlib.closing(ledger):
                ledger.append(items)
                ledger.sync()
        self._moved.clear()

    def __enter__(self) -> _Directory:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._segment is not None:
                self._finish(self._segment)
        finally:
            if self._segment is not None:
                # Its letters are all still there.
                self._segment.close()
                self._files.unlink(self._segment.path)
                self._segments -= 1
            if self._segments:
                self._owned.release()
            else:
                self._owned.remove()
